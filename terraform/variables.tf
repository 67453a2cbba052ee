# Everything but the pipelines, which have a file of their own.

variable "condition_on_instance" {
  description = "Whether what is granted in an instance's project holds for that instance alone. Say false where an organisation allows no IAM conditions."
  type        = bool
  default     = true
}

variable "job_events" {
  description = "How refresh_views hears of BigQuery's jobs: by eventarc, which calls it for every job of the project, or by a log_sink, which filters before it calls, for a project of many queries."
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
  description = "Labels for everything that can have some."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "late_after_hours" {
  description = "How many hours after its schedule's longest gap a table counts as late, which is an alert: longer than a run takes."
  type        = number
  default     = 6
  nullable    = false

  validation {
    condition     = var.late_after_hours >= 1
    error_message = "late_after_hours has to be 1 at least: give a run the time that it takes."
  }
}

variable "network" {
  description = "The VPC network and subnetwork, in the region, through which list_tables reaches databases by a private address; null where none has one."
  type = object({
    network    = string
    subnetwork = string
  })
  default = null
}

variable "notification_channels" {
  description = "Who is told of alerts: names of Cloud Monitoring's notification channels, projects/P/notificationChannels/N."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "prefix" {
  description = "Put in front of all names, such as \"eu-\", where a project holds more than one mirror."
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
  description = "Who may query the views, and through them the shards: IAM members, such as group:analysts@example.com."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setintersection(var.readers, ["allUsers", "allAuthenticatedUsers"])) == 0
    error_message = "readers would let the whole world query the mirror: name people, groups, service accounts or a domain."
  }
}

variable "region" {
  description = "Where the functions run, best that of the databases."
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
