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

output "service_accounts" {
  description = "The functions' service accounts, by the functions' names in the code."
  value       = { for name, account in google_service_account.function : name => account.email }
}

output "topics" {
  description = "Full names of the topics, by their short names: mirror-requests to request a run, table-exported and run-exported for loaders of your own."
  value       = local.topics
}

locals {
  # By pipeline, the database users of the mirror, quoted: one, unless read_snapshot logs in as its own account.
  users = {
    for name, pipeline in local.settings : name => [
      for user in distinct(concat([pipeline.user], contains(keys(local.by_snapshot), name) ? [local.readers_settings[name].user] : [])) :
      format("\"%s\"", replace(user, "\"", "\"\""))
    ]
  }
}
