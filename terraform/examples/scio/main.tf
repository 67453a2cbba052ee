# A team with a Scio job. When a run is complete, their Dataflow job makes the shards from files with one JSON object on each
# line. Then the views of the run move together. load_shard is not deployed.

module "mirror" {
  source = "git::https://github.com/YOUR-ORG/cloud-sql-mirror.git//terraform?ref=v0.5.0"

  project_id = "my-project"
  region     = "europe-west1"
  job_events = "log_sink" # the project runs thousands of queries an hour

  pipelines = {
    billing = {
      instance       = "my-project:europe-west1:billing-db"
      database       = "billing"
      bucket         = "my-project-mirror"
      shards_dataset = "mirror_shards"
      views_dataset  = "mirror"
      keep_days      = 400
      format         = "ndjson"
      loader         = "scio"
      release        = "together"
      max_shrink     = 0.5
      dataflow = {
        template        = "gs://my-project-templates/mirror.json"
        region          = "europe-west1"
        parameters      = { tempLocation = "gs://my-project-temp/mirror" }
        service_account = "dataflow-worker@my-project.iam.gserviceaccount.com"
      }
    }
  }
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
