# How refresh_views hears that a shard is complete. Another way is its event trigger, in functions.tf.

locals {
  # US and EU can have no trigger of their own. A global trigger hears of their jobs, and of all regions' jobs
  # (https://cloud.google.com/eventarc/docs/locations).
  data_locations      = distinct(values(local.locations))
  job_events_location = length(local.data_locations) == 1 && !contains(["US", "EU"], local.data_locations[0]) ? local.data_locations[0] : "global"

  # Dataflow sends events of jobs in the job's own region only.
  dataflow_regions = toset([
    for name, pipeline in local.pipelines : try(local.launched[name].region, var.region)
    if pipeline.loader == "scio"
  ])

  shards_of_pipelines = join("|", [for pipeline in local.pipelines : pipeline.shards_dataset])
  shard_name          = "^projects/${var.project_id}/datasets/(${local.shards_of_pipelines})/tables/.+_[0-9]{8}$"
}

# A Scio job that writes by the Storage Write API leaves no BigQuery job, so refresh_views needs Dataflow's events. A
# function can have only one event trigger, so this trigger calls its Cloud Run service.
resource "google_eventarc_trigger" "dataflow" {
  for_each = local.dataflow_regions

  name            = "${var.prefix}refresh-views-dataflow-${each.value}"
  project         = var.project_id
  location        = each.value
  service_account = google_service_account.events.email
  labels          = var.labels

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.dataflow.job.v1beta3.statusChanged"
  }

  destination {
    cloud_run_service {
      service = google_cloudfunctions2_function.function["refresh_views"].name
      region  = var.region
    }
  }

  depends_on = [google_project_iam_member.events]
}

# For a busy project, in place of the event trigger. It lets through only the ends of loads and copies into shards. An entry
# that was too long for the log has lost the fields of this filter; the reconcile makes up for it.
resource "google_logging_project_sink" "jobs" {
  count = var.job_events == "log_sink" ? 1 : 0

  name                   = "${var.prefix}mirror-job-events"
  project                = var.project_id
  description            = "Loads and copies into the mirror's shards that have ended, for refresh_views."
  destination            = "pubsub.googleapis.com/${local.topics["job-events"]}"
  unique_writer_identity = true

  filter = <<-EOT
    resource.type="bigquery_project"
    protoPayload.methodName="google.cloud.bigquery.v2.JobService.InsertJob"
    protoPayload.metadata.jobChange.after="DONE"
    (protoPayload.metadata.jobChange.job.jobConfig.loadConfig.destinationTable=~"${local.shard_name}" OR
     protoPayload.metadata.jobChange.job.jobConfig.tableCopyConfig.destinationTable=~"${local.shard_name}")
  EOT
}

resource "google_pubsub_topic_iam_member" "sink" {
  count = var.job_events == "log_sink" ? 1 : 0

  project = var.project_id
  topic   = google_pubsub_topic.topic["job-events"].name
  role    = "roles/pubsub.publisher"
  member  = google_logging_project_sink.jobs[0].writer_identity
}
