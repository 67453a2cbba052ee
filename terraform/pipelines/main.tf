# What a pipeline may be. It makes nothing: it turns what was given into one type, with its defaults, and refuses what is wrong.

variable "pipelines" {
  description = "The mirrored databases, of PostgreSQL 11 or later, by pipeline name."
  nullable    = false

  type = map(object({
    instance        = string
    database        = string
    user            = optional(string)
    password_file   = optional(string)
    host            = optional(string)
    ca_file         = optional(string)
    ip_type         = optional(string)
    schemas         = optional(list(string))
    include         = optional(list(string))
    exclude         = optional(list(string))
    bucket          = string
    shards_dataset  = string
    views_dataset   = string
    time_zone       = optional(string, "UTC")
    format          = optional(string)
    offload         = optional(bool)
    loader          = optional(string, "bigquery")
    unrepresentable = optional(string)
    release         = optional(string)
    max_shrink      = optional(number)
    keep_days       = optional(number)
    trust_database  = optional(bool)
    small_tables    = optional(string)
    leave_out       = optional(list(string))
    hash            = optional(list(string))
    dataflow = optional(object({
      template        = string
      region          = string
      parameters      = optional(map(string))
      service_account = optional(string)
      network         = optional(string)
    }))

    # Terraform's own keys, which the functions do not read. No time zone changes its clocks at four. A run's files and records
    # outlive its dead letters, which are kept for 31 days.
    schedule        = optional(string, "0 4 * * *")
    bucket_location = optional(string)
    export_days     = optional(number, 40)
  }))

  validation {
    condition     = alltrue([for name in keys(var.pipelines) : can(regex("^[a-z][a-z0-9-]{0,40}$", name))])
    error_message = "A pipeline's name begins with a lower-case letter and goes on with at most 40 of those, digits and hyphens."
  }

  validation {
    condition     = alltrue([for p in var.pipelines : can(regex("^([a-z0-9.-]+:)?[a-z0-9-]+:[a-z0-9-]+:[a-z0-9-]+$", p.instance))])
    error_message = "instance is a connection name, project:region:instance: see `gcloud sql instances describe INSTANCE --format 'value(connectionName)'`."
  }

  validation {
    condition     = alltrue([for p in var.pipelines : can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", p.bucket))])
    error_message = "bucket is a bucket's name, without gs://."
  }

  validation {
    condition = alltrue([
      for p in var.pipelines :
      can(regex("^[A-Za-z0-9_]+$", p.shards_dataset)) && can(regex("^[A-Za-z0-9_]+$", p.views_dataset))
    ])
    error_message = "shards_dataset and views_dataset are datasets' ids, of letters, digits and _, without the project."
  }

  validation {
    condition = length(distinct(flatten([
      for p in var.pipelines : [p.shards_dataset, p.views_dataset]
    ]))) == 2 * length(var.pipelines)
    error_message = "Two pipelines share a dataset, or one has its shards and its views in the same: give each pipeline two datasets of its own, or wildcards such as orders_* break on the views."
  }

  validation {
    condition     = alltrue([for p in var.pipelines : contains(["bigquery", "scio"], p.loader)])
    error_message = "loader is \"bigquery\", or \"scio\" where your own job loads."
  }

  validation {
    condition = alltrue([for p in var.pipelines : alltrue([
      contains(["auto", "csv", "ndjson"], coalesce(p.format, "auto")),
      contains(["PUBLIC", "PRIVATE", "PSC"], coalesce(p.ip_type, "PUBLIC")),
      contains(["null", "fail", "string"], coalesce(p.unrepresentable, "null")),
      contains(["each", "together"], coalesce(p.release, "each")),
      contains(["export", "snapshot"], coalesce(p.small_tables, "export")),
    ])])
    error_message = "format is \"auto\", \"csv\" or \"ndjson\", ip_type \"PUBLIC\", \"PRIVATE\" or \"PSC\", unrepresentable \"null\", \"fail\" or \"string\", release \"each\" or \"together\", small_tables \"export\" or \"snapshot\"."
  }

  validation {
    condition     = alltrue([for p in var.pipelines : p.max_shrink == null ? true : p.max_shrink > 0 && p.max_shrink <= 1])
    error_message = "max_shrink is a share, above 0 and at most 1: 0.5 refuses a shard with less than half the rows."
  }

  validation {
    condition     = alltrue([for p in var.pipelines : p.keep_days == null ? true : p.keep_days >= 1 && floor(p.keep_days) == p.keep_days])
    error_message = "keep_days is a whole number of days, 1 or more, or null to keep shards for ever."
  }

  validation {
    condition = alltrue(flatten([
      for p in var.pipelines : [for glob in concat(coalesce(p.leave_out, []), coalesce(p.hash, [])) : try(length(glob) > 0, false)]
    ]))
    error_message = "leave_out and hash are lists of globs on schema.table.column, such as \"public.users.email\" or \"*.password\", none of them empty."
  }

  validation {
    condition     = alltrue([for p in var.pipelines : p.dataflow == null || p.loader == "scio"])
    error_message = "dataflow starts a Scio job: set loader = \"scio\" beside it, or leave it out."
  }

  validation {
    condition = alltrue([
      for p in var.pipelines : p.dataflow == null ? true : alltrue([
        can(regex("^gs://[^/]+/.+$", p.dataflow.template)),
        p.dataflow.service_account != null,
      ])
    ])
    error_message = "dataflow needs a template, gs://BUCKET/FILE, and the service_account that the job runs as: start_loader may have jobs run as that one alone."
  }

  validation {
    condition = alltrue([
      for p in var.pipelines : p.host == null && p.password_file == null ? p.user == null : p.user != null
    ])
    error_message = "user goes with password_file or host. Without these it is left out: Terraform makes an IAM database user for list_tables."
  }

  validation {
    condition = alltrue([
      for p in var.pipelines : p.password_file == null ? true : can(regex("^(/[A-Za-z0-9._-]+){2,}$", p.password_file))
    ])
    error_message = "password_file is the path at which the secret is mounted, in a folder of its own, such as /secrets/billing/password."
  }

  validation {
    condition = alltrue([
      for p in var.pipelines : p.ca_file == null ? true : p.ca_file == "off" || can(regex("^(/[A-Za-z0-9._-]+){2,}$", p.ca_file))
    ])
    error_message = "ca_file is the path at which the CA is mounted, in a folder of its own, such as /secrets/billing-ca/ca.pem, or \"off\"."
  }

  validation {
    condition = alltrue([
      for p in var.pipelines : p.host == null ? p.ca_file == null : p.ca_file != null || can(regex("^(/|localhost:|127\\.|\\[::1\\]:)", p.host))
    ])
    error_message = "A host needs ca_file: the path of its server's CA, or \"off\" for TLS only where it is offered, and unchecked. Without host leave ca_file out: the Cloud SQL connector checks by itself."
  }

  validation {
    condition = length(flatten([for p in var.pipelines : [for file in [p.password_file, p.ca_file] : file if file != null && file != "off"]])) == length(distinct(flatten([
      for p in var.pipelines : [for file in [p.password_file, p.ca_file] : dirname(file) if file != null && file != "off"]
    ])))
    error_message = "Two password_file or ca_file are in one folder, and a secret fills the folder that it is mounted in: give each a folder of its own."
  }

  validation {
    condition     = alltrue([for p in var.pipelines : length(split(" ", p.schedule)) == 5])
    error_message = "schedule has the five fields of cron, parted by single blanks, such as \"0 4 * * *\", in the pipeline's time_zone."
  }

  validation {
    condition = alltrue([
      for p in var.pipelines : p.bucket_location == null ? true : can(regex("^(US|EU|[a-z]+-[a-z]+[0-9]+)$", p.bucket_location))
    ])
    error_message = "bucket_location is \"US\", \"EU\" or a region such as europe-west1, as BigQuery writes it: it is the datasets' location too."
  }

  validation {
    condition = alltrue(flatten([
      for p in var.pipelines : [
        for other in var.pipelines :
        coalesce(other.bucket_location, var.region) == coalesce(p.bucket_location, var.region)
        if other.bucket == p.bucket
      ]
    ]))
    error_message = "Pipelines that share a bucket have different locations, and BigQuery loads from a bucket in the dataset's location: give them one bucket_location, or a bucket each."
  }

  validation {
    condition     = alltrue([for p in var.pipelines : p.export_days >= 2 && floor(p.export_days) == p.export_days])
    error_message = "export_days is a whole number of days, 2 or more, so that no file goes while it is loaded."
  }
}

variable "region" {
  description = "The location of pipelines that name none."
  type        = string
}

output "all" {
  description = "By pipeline name, every key; null where it has neither a value nor a default here."
  value       = var.pipelines
}
