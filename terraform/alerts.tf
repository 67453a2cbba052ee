# Five alerts, the last one only where there are snapshots. RUNBOOK.md says what to do about each.

locals {
  # The longest time between two runs of a schedule, in hours: by its fields for day of month, month and day of week.
  gaps = {
    for name, fields in { for name, pipeline in local.pipelines : name => split(" ", pipeline.schedule) } :
    name => 24 * (fields[3] != "*" ? 366 : fields[2] != "*" ? 31 : fields[4] != "*" ? 7 : 1)
  }
  allowed = { for name, gap in local.gaps : name => gap + var.late_after_hours }

  # Cloud Monitoring keeps a metric for six weeks at least (https://cloud.google.com/monitoring/quotas#data_retention_policy).
  metrics_last = 6 * 7 * 24

  # A table that was not mirrored for a week more than that counts as dropped, and sets off no alert any longer.
  known = { for name, allowed in local.allowed : name => min(allowed + local.gaps[name] + 7 * 24, local.metrics_last) }
}

# It looks for the absence of success, not for failures: so it fires whatever the reason is, and even if no function runs.
resource "google_monitoring_alert_policy" "late" {
  for_each = { for name, pipeline in local.pipelines : name => pipeline if local.allowed[name] < local.metrics_last }

  display_name          = "${var.prefix}mirror: a table of ${each.key} is late"
  project               = var.project_id
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "not mirrored for ${local.allowed[each.key]} hours"

    condition_prometheus_query_language {
      query = <<-EOT
        sum by (pipeline, table) (increase(${local.outcomes}{${local.mirrored},pipeline="${each.key}"}[${local.known[each.key]}h])) > 0
          unless
        sum by (pipeline, table) (increase(${local.outcomes}{${local.mirrored},pipeline="${each.key}"}[${local.allowed[each.key]}h])) > 0
          or
        absent_over_time(${local.outcomes}{${local.mirrored},pipeline="${each.key}"}[${local.allowed[each.key]}h])
      EOT

      duration                  = "0s"
      evaluation_interval       = "900s"
      disable_metric_validation = true # it has no data before the first run
    }
  }

  documentation {
    content = "The newest shard of this table is older than the schedule `${each.value.schedule}` and ${var.late_after_hours} hours allow. If no table is named, the pipeline has mirrored no table at all. Runbook: \"A table is late\"."
  }
}

resource "google_monitoring_alert_policy" "failed" {
  display_name          = "${var.prefix}mirror: a table, a load or a request failed"
  project               = var.project_id
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "a function gave something up"

    condition_prometheus_query_language {
      query = "sum by (function, pipeline, table) (increase(${local.outcomes}{${local.failed}}[10m])) > 0"

      duration                  = "0s"
      evaluation_interval       = "60s"
      disable_metric_validation = true # it has no data before the first failure
    }
  }

  documentation {
    content = "A permanent failure. The function says what failed: `list_tables` a request or a table that it refuses, `export_table` an export, `read_snapshot` a table that it reads, `load_shard` or `refresh_views` a load or a view. The log line with outcome `dead` has the reason and the remedy. Runbook: \"Something failed\"."
  }
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "${var.prefix}mirror: there are dead letters"
  project               = var.project_id
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "messages in ${google_pubsub_subscription.dead_letters.name}"

    condition_threshold {
      filter = join(" AND ", [
        "resource.type=\"pubsub_subscription\"",
        "resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\"",
        "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = "A message can never succeed, or was delivered 100 times. Dead letters are kept for 31 days: read the reason, remove the cause, replay the message. Runbook: \"There are dead letters\"."
  }
}

resource "google_monitoring_alert_policy" "slow_lane" {
  display_name          = "${var.prefix}mirror: a lane is older than a day"
  project               = var.project_id
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "a table waits for its export since yesterday"

    condition_threshold {
      filter = join(" AND ", [
        "resource.type=\"pubsub_subscription\"",
        "resource.labels.subscription_id=\"${google_pubsub_subscription.push["table-exports"].name}\"",
        "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 24 * 60 * 60
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = "The exports of an instance take longer than a day, so runs pile up. Or another operation runs on the instance. Runbook: \"A lane is slow\"."
  }
}

resource "google_monitoring_alert_policy" "slow_snapshot" {
  count = length(local.by_snapshot) > 0 ? 1 : 0

  display_name          = "${var.prefix}mirror: a snapshot is older than an hour"
  project               = var.project_id
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  conditions {
    display_name = "small tables wait to be read for an hour"

    condition_threshold {
      filter = join(" AND ", [
        "resource.type=\"pubsub_subscription\"",
        "resource.labels.subscription_id=\"${google_pubsub_subscription.push["snapshots"].name}\"",
        "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = 60 * 60
      duration        = "0s"

      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content = "Small tables are read in seconds, and these have not been for an hour: `read_snapshot` cannot connect, or some are locked all the time. Runbook: \"A snapshot is slow\"."
  }
}
