output "dead_letters" {
  description = "The subscription that keeps the dead letters."
  value       = google_pubsub_subscription.dead_letters.id
}

output "functions" {
  description = "The functions' addresses, by their names in the code."
  value       = { for name, function in google_cloudfunctions2_function.function : name => function.service_config[0].uri }
}

output "grants" {
  description = "By pipeline, the statements to run in its database as the owner of the tables: Cloud SQL exports as cloudsqlsuperuser, which has to be able to read them."
  value = {
    for name, pipeline in var.pipelines : name => join("\n", flatten([
      for schema in coalesce(pipeline.schemas, ["public"]) : [
        for grant in local.grants : format(grant, replace(schema, "\"", "\"\""))
      ]
    ]))
  }
}

locals {
  grants = [
    "GRANT USAGE ON SCHEMA \"%s\" TO cloudsqlsuperuser;",
    "GRANT SELECT ON ALL TABLES IN SCHEMA \"%s\" TO cloudsqlsuperuser;",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA \"%s\" GRANT SELECT ON TABLES TO cloudsqlsuperuser;",
  ]
}

output "service_accounts" {
  description = "The functions' service accounts, by the functions' names in the code."
  value       = { for name, account in google_service_account.function : name => account.email }
}

output "topics" {
  description = "Full names of the topics, by their short names: mirror-requests to request a run, table-exported and run-exported for loaders of your own."
  value       = local.topics
}
