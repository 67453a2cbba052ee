# All variables but the pipelines, which are in pipelines.tf.

variable "condition_on_instance" {
  description = "Whether grants in an instance's project are for that instance only. Set it to false if your organisation allows no IAM conditions."
  type        = bool
  default     = true
}

variable "condition_on_prefix" {
  description = "Whether grants on a bucket are for the folders of its pipelines only. Set it to false if your organisation allows no IAM conditions."
  type        = bool
  default     = true
}

variable "job_events" {
  description = "How refresh_views hears of BigQuery's jobs. With eventarc it is called for every job of the project. With log_sink the events are filtered before it is called, for a project with many queries."
  type        = string
  default     = "eventarc"

  validation {
    condition     = contains(["eventarc", "log_sink"], var.job_events)
    error_message = "job_events is \"eventarc\" or \"log_sink\", not \"${var.job_events}\"."
  }
}

variable "kms_key_name" {
  description = "A key of your own for the files, the datasets and the messages, projects/P/locations/L/keyRings/R/cryptoKeys/K in their location; null for Google's."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_name == null ? true : can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key_name))
    error_message = "kms_key_name is the full name of a key, projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version."
  }
}

variable "labels" {
  description = "Labels for everything that can have labels."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "late_after_hours" {
  description = "A table is late, which sets off an alert, so many hours after the longest gap of its schedule. It has to be longer than a run takes. A schedule with a gap of more than six weeks less these hours gets no such alert."
  type        = number
  default     = 6
  nullable    = false

  validation {
    condition     = var.late_after_hours >= 1
    error_message = "late_after_hours has to be at least 1, and longer than a run takes."
  }
}

variable "network" {
  description = "The VPC network and subnetwork, in the region, through which list_tables and read_snapshot reach databases by a private address; null if it needs none."
  type = object({
    network    = string
    subnetwork = string
  })
  default = null
}

variable "notification_channels" {
  description = "The notification channels of alerts: names from Cloud Monitoring, projects/P/notificationChannels/N."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "operators" {
  description = "The IAM members who run the mirror: they may ask for runs, pin views, replay the dead letters, and read files, records and the descriptions of tables."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setintersection(var.operators, ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "operators would let the whole world run the mirror: name people, groups or service accounts."
  }
}

variable "prefix" {
  description = "A prefix of all names, such as \"eu-\", for a project with more than one mirror."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([a-z][a-z0-9-]{0,7}-)?$", var.prefix))
    error_message = "prefix is at most 9 lower-case letters, digits and hyphens that begin with a letter and end with a hyphen, such as \"eu-\"."
  }
}

variable "project_id" {
  description = "The project of the mirror: functions, files, shards and views. The databases may be in others."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is a project's id, such as my-project-123, not its name or its number."
  }
}

variable "readers" {
  description = "The IAM members who may query the views, and through them the shards, such as group:analysts@example.com."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setintersection(var.readers, ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "readers would let the whole world query the mirror: name people, groups, service accounts or a domain."
  }
}

variable "region" {
  description = "The region of the functions, best that of the databases."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region is one region, such as europe-west1. A location of data such as EU is a pipeline's bucket_location."
  }
}

variable "scio_workers" {
  description = "By pipeline, the e-mail address of the service account that its Scio job runs as. It may read the files and write the shards."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.scio_workers) : try(var.pipelines[name].loader, "") == "scio"])
    error_message = "scio_workers names pipelines whose loader is \"scio\", and nothing else."
  }
}
