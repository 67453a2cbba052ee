# The mirrored databases. docs/settings.md has the keys and their defaults. A key that is left out here is left out of
# PIPELINES, so the functions' own default applies.

variable "pipelines" {
  description = "The mirrored databases, of PostgreSQL 11 or later, by pipeline name."
  type        = any # an object type drops an unknown key, and does not say so
  nullable    = false

  validation {
    condition     = can([for pipeline in var.pipelines : keys(pipeline)]) && try(length(var.pipelines) > 0, false)
    error_message = "pipelines is empty, or not a map of objects: name at least one database."
  }

  validation {
    condition = try(alltrue([for pipeline in var.pipelines : length(setsubtract(keys(pipeline), local.keys)) == 0]), true)
    error_message = join(" ", flatten([
      for name, pipeline in var.pipelines : [
        for key in setsubtract(keys(pipeline), local.keys) : format(
          "%s.%s is no key of a pipeline: do you mean %s?", name, key,
          # The known key that shares the most pairs of letters with it.
          split(" ", reverse(sort([
            for known, pairs in local.pairs : format("%05d %s", floor(
              20000 * length(setintersection(pairs, [for at in range(length(key) - 1) : substr(lower(key), at, 2)])) / (length(known) + length(key))
            ), known)
          ]))[0])[1],
        )
      ]
    ]))
  }

  validation {
    condition = try(alltrue([
      for pipeline in var.pipelines : length(setsubtract(keys(pipeline.dataflow), local.keys_of_dataflow)) == 0
      if try(pipeline.dataflow, null) != null
    ]), true)
    error_message = "dataflow has a key that is none of its own: it may have ${join(", ", local.keys_of_dataflow)}."
  }

  validation {
    condition     = try(alltrue([for pipeline in var.pipelines : contains(keys(pipeline), "keep_days")]), true)
    error_message = "keep_days is missing: say for how many days shards are kept, such as 400, or null for ever. terraform/README.md says what null costs."
  }
}

module "pipelines" {
  source = "./pipelines"

  pipelines = var.pipelines
  region    = var.region
}

locals {
  # Those of the functions, then Terraform's own.
  keys = [
    "instance", "database", "user", "password_file", "host", "ca_file", "ip_type", "schemas", "include", "exclude", "bucket",
    "shards_dataset", "views_dataset", "time_zone", "format", "offload", "loader", "unrepresentable", "release", "max_shrink",
    "keep_days", "trust_database", "small_tables", "leave_out", "hash", "dataflow",
    "schedule", "bucket_location", "export_days",
  ]
  keys_of_dataflow = ["template", "region", "parameters", "service_account", "network"]

  pairs = { for key in local.keys : key => [for at in range(length(key) - 1) : substr(key, at, 2)] }

  pipelines = module.pipelines.all
}

locals {
  of_the_deployment = ["schedule", "bucket_location", "export_days"]

  # PIPELINES, as the functions read it, but for the user that read_snapshot logs in as.
  settings = {
    for name, pipeline in local.pipelines : name => {
      for key, value in merge(pipeline, {
        user     = coalesce(pipeline.user, local.lister)
        dataflow = try(local.launched[name], null)
      }) : key => value if value != null && !contains(local.of_the_deployment, key)
    }
  }
  readers_settings = {
    for name, pipeline in local.pipelines :
    name => merge(local.settings[name], { user = coalesce(pipeline.user, local.reader) }) if length(local.by_snapshot) > 0
  }
  pipelines_json = {
    for function in keys(local.functions) :
    function => function == "read_snapshot" ? jsonencode(local.readers_settings) : jsonencode(local.settings)
  }

  # The name of an IAM database user is its service account's e-mail address without .gserviceaccount.com.
  lister = "${google_service_account.function["list_tables"].account_id}@${var.project_id}.iam"
  reader = length(local.by_snapshot) > 0 ? "${google_service_account.function["read_snapshot"].account_id}@${var.project_id}.iam" : null

  # Pipelines whose small tables are read by snapshot.
  by_snapshot = { for name, pipeline in local.pipelines : name => pipeline if coalesce(pipeline.small_tables, "export") == "snapshot" }

  # Each instance is a lane.
  instances = {
    for instance in distinct([for pipeline in local.pipelines : pipeline.instance]) : instance => {
      project = join(":", slice(split(":", instance), 0, length(split(":", instance)) - 2))
      name    = reverse(split(":", instance))[0]
    }
  }
  reached_by_connector = toset([for p in local.pipelines : p.instance if p.host == null])
  logged_into_by_iam   = toset([for p in local.pipelines : p.instance if p.host == null && p.password_file == null])

  locations = { for name, pipeline in local.pipelines : name => coalesce(pipeline.bucket_location, var.region) }
  buckets = {
    for bucket in distinct([for pipeline in local.pipelines : pipeline.bucket]) : bucket => {
      pipelines = [for name, pipeline in local.pipelines : name if pipeline.bucket == bucket]
    }
  }

  # Pipelines whose job the mirror launches.
  launched = {
    for name, pipeline in local.pipelines : name => { for key, value in pipeline.dataflow : key => value if value != null }
    if pipeline.dataflow != null
  }

  loaders   = toset([for pipeline in local.pipelines : pipeline.loader])
  passwords = { for name, pipeline in local.pipelines : name => pipeline.password_file if pipeline.password_file != null }
  cas       = { for name, pipeline in local.pipelines : name => pipeline.ca_file if startswith(coalesce(pipeline.ca_file, "off"), "/") }
  scio_workers = merge(
    { for name, dataflow in local.launched : name => dataflow.service_account },
    var.scio_workers,
  )
}
