output "dead_letters" {
  description = "The subscription that keeps the dead letters."
  value       = google_pubsub_subscription.dead_letters.id
}

output "functions" {
  description = "The functions' addresses, by their names in the code."
  value       = { for name, function in google_cloudfunctions2_function.function : name => function.service_config[0].uri }
}

output "grants" {
  description = "By pipeline, the SQL to run in its database, as a member of the owners of the database, its schemas and its tables: list_tables may connect then, and the role that Cloud SQL exports as may read; where small tables are read by snapshot, so may read_snapshot."
  value = {
    for name, pipeline in local.settings : name => templatefile("${path.module}/grants.sql.tftpl", {
      database = format("\"%s\"", replace(pipeline.database, "\"", "\"\""))
      lister   = join(", ", local.users[name])
      exporter = "cloudsqlsuperuser"
      schemas  = [for schema in try(pipeline.schemas, ["public"]) : format("\"%s\"", replace(schema, "\"", "\"\""))]
      names    = join(", ", [for schema in try(pipeline.schemas, ["public"]) : format("'%s'", replace(schema, "'", "''"))])

      # list_tables has a table read by snapshot if it may read it itself.
      readers = join(", ", concat(["cloudsqlsuperuser"], contains(keys(local.by_snapshot), name) ? local.users[name] : []))
    })
  }
}

output "retention" {
  description = "By pipeline, the most days that a row can still be found in after it has left the database: in shards, which is the sum of the parts before it, in files, and in all. null: for ever. docs/erasure.md says what that rests on."
  value       = local.retention
}

output "ops_dataset" {
  description = "The dataset of the ledger, and of the view freshness."
  value       = google_bigquery_dataset.ops.dataset_id
}

output "service_accounts" {
  description = "The functions' service accounts, by the functions' names in the code."
  value       = { for name, account in google_service_account.function : name => account.email }
}

output "settings" {
  description = "What the command mirror works on: `terraform output -json settings > settings.json`, then `./mirror --help`."
  value = {
    project                   = var.project_id
    mirror_requests_topic     = local.topics["mirror-requests"]
    view_refreshes_topic      = local.topics["view-refreshes"]
    dead_letters_subscription = "projects/${var.project_id}/subscriptions/${google_pubsub_subscription.dead_letters.name}"
    pubsub_endpoint           = local.pubsub_endpoint
    pipelines                 = local.settings
    schedules                 = { for name, pipeline in local.pipelines : name => pipeline.schedule }
  }
}

output "topics" {
  description = "Full names of the topics, by their short names: mirror-requests to request a run, table-exported and run-exported for loaders of your own, run-shown for whoever waits for a day."
  value       = local.topics
}

locals {
  # A shard is shown until the next run's is, and expires then at its date and keep_days, or with a day's notice. It is made later than its
  # date in UTC begins: a pipeline's day may be half a day ahead, and a run may take hours. The bucket's rules are carried out as a rule
  # within a day (https://cloud.google.com/storage/docs/lifecycle#behavior).
  shown     = { for name, hours in local.allowed : name => ceil(hours / 24) + 1 }
  fail_safe = 7 # days (https://cloud.google.com/bigquery/docs/time-travel#fail-safe)
  parts = {
    for name, pipeline in local.pipelines : name => {
      kept        = pipeline.keep_days == null ? null : max(pipeline.keep_days + 1, local.shown[name])
      time_travel = local.time_travel_hours / 24
      fail_safe   = local.fail_safe
      files       = pipeline.export_days + 1
    }
  }
  retention = {
    for name, parts in local.parts : name => merge(parts, {
      shards = parts.kept == null ? null : parts.kept + parts.time_travel + parts.fail_safe
      all    = parts.kept == null ? null : max(parts.kept + parts.time_travel + parts.fail_safe, parts.files)
    })
  }

  # By pipeline, the database users of the mirror, quoted: one, unless read_snapshot logs in as its own account.
  users = {
    for name, pipeline in local.settings : name => [
      for user in distinct(concat([pipeline.user], contains(keys(local.by_snapshot), name) ? [local.readers_settings[name].user] : [])) :
      format("\"%s\"", replace(user, "\"", "\"\""))
    ]
  }
}
