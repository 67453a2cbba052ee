# One database, in the project that mirrors it, every night at four.

module "mirror" {
  source = "git::https://github.com/YOUR-ORG/cloud-sql-mirror.git//terraform?ref=v0.5.0"

  project_id = "my-project"
  region     = "europe-west1"

  pipelines = {
    billing = {
      instance       = "my-project:europe-west1:billing-db"
      database       = "billing"
      bucket         = "my-project-mirror"
      shards_dataset = "mirror_shards"
      views_dataset  = "mirror"
      keep_days      = 400
    }
  }

  readers   = ["group:analysts@example.com"]
  operators = ["group:oncall@example.com"]
}

output "grants" {
  description = "What to run in each database."
  value       = module.mirror.grants
}

output "retention" {
  description = "For how many days a row can be found after it has left its database."
  value       = module.mirror.retention
}

output "settings" {
  description = "What the command mirror works on."
  value       = module.mirror.settings
}
