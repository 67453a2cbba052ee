# Metrics of the functions' log lines: one JSON line for each event, with the fields that docs/failures.md lists.

locals {
  our_lines = <<-EOT
    resource.type="cloud_run_revision"
    resource.labels.location="${var.region}"
    resource.labels.service_name=(${join(" OR ", [for function in google_cloudfunctions2_function.function : "\"${function.name}\""])})
  EOT

  # Each event of another job leaves a DEBUG line: thousands in a busy project.
  outcome_lines = "${local.our_lines}severity>=INFO\njsonPayload.outcome:*\n"

  # The metrics' names in PromQL.
  outcomes = "logging_googleapis_com:user_${google_logging_metric.outcomes.name}"
  seconds  = "logging_googleapis_com:user_${google_logging_metric.seconds.name}"

  # A table is mirrored when a job has completed its shard and its view shows the right shard, whether it had to move or not.
  # The canaries of `mirror check` are no tables.
  mirrored = "monitored_resource=\"cloud_run_revision\",function=\"refresh_views\",outcome=~\"moved|ignored\",table!=\"\",table!~\"mirror_check.*\""
  failed   = "monitored_resource=\"cloud_run_revision\",outcome=\"dead\""
}

resource "google_logging_metric" "outcomes" {
  name        = "${local.role_prefix}mirror_outcomes"
  project     = var.project_id
  description = "Events of Cloud SQL Mirror, by outcome."
  filter      = local.outcome_lines

  label_extractors = {
    for field in ["function", "outcome", "pipeline", "table"] : field => "EXTRACT(jsonPayload.${field})"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    dynamic "labels" {
      for_each = ["function", "outcome", "pipeline", "table"]
      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "seconds" {
  name            = "${local.role_prefix}mirror_seconds"
  project         = var.project_id
  description     = "Seconds that Cloud SQL Mirror's functions spent on an event."
  filter          = "${local.outcome_lines}jsonPayload.seconds:*\n"
  value_extractor = "EXTRACT(jsonPayload.seconds)"

  label_extractors = {
    for field in ["function", "pipeline"] : field => "EXTRACT(jsonPayload.${field})"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "s"

    dynamic "labels" {
      for_each = ["function", "pipeline"]
      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }

  # 0.1 s to 14 min.
  bucket_options {
    exponential_buckets {
      scale              = 0.1
      growth_factor      = 2
      num_finite_buckets = 13
    }
  }

  depends_on = [google_project_service.api]
}
