# One database, in the project that mirrors it, every night at two.

module "mirror" {
  source = "../.."

  project_id = "my-project"
  region     = "europe-west1"

  pipelines = {
    billing = {
      instance       = "my-project:europe-west1:billing-db"
      database       = "billing"
      bucket         = "my-project-mirror"
      shards_dataset = "mirror_shards"
      views_dataset  = "mirror"
    }
  }

  readers = ["group:analysts@example.com"]
}

output "grants" {
  description = "What to run in the database."
  value       = module.mirror.grants
}
