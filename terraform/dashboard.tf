# One page: how old each table's shard is, how busy the lanes are, and what failed.

locals {
  # Hours since the last such log line of a table, within three days.
  hours_since = "(time() - max by (pipeline, table) (max_over_time(timestamp(increase(${local.outcomes}{%s}[15m]) > 0)[3d:15m]))) / 3600"

  charts = concat([
    {
      title = "Lag by table: hours since its last shard was complete"
      query = format(local.hours_since, local.mirrored)
    },
    {
      title = "Shard age by table: hours since its view moved"
      query = format(local.hours_since, replace(local.mirrored, "outcome=~\"moved|ignored\"", "outcome=\"moved\""))
    },
    {
      title = "Lane business: share of the hour that exports of a pipeline ran"
      query = "sum by (pipeline) (increase(${local.seconds}_sum{monitored_resource=\"cloud_run_revision\",function=\"export_table\"}[1h])) / 3600"
    },
    {
      title = "Lanes: hours that the oldest table has waited for its export"
      query = "max(pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource=\"pubsub_subscription\",subscription_id=\"${google_pubsub_subscription.push["table-exports"].name}\"}) / 3600"
    },
    {
      title = "Failures by function and pipeline, in an hour"
      query = "sum by (function, pipeline) (increase(${local.outcomes}{${local.failed}}[1h]))"
    },
    {
      title = "Dead letters that are not acknowledged"
      query = "max(pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource=\"pubsub_subscription\",subscription_id=\"${google_pubsub_subscription.dead_letters.name}\"})"
    },
    {
      title = "Outcomes by function, in an hour"
      query = "sum by (function, outcome) (increase(${local.outcomes}{monitored_resource=\"cloud_run_revision\"}[1h]))"
    },
    {
      title = "Runs that are over, each of their tables shown, held, failed or skipped, in a day"
      query = "sum by (pipeline) (increase(${local.outcomes}{monitored_resource=\"cloud_run_revision\",function=\"run_shown\"}[1d]))"
    },
    ], length(local.by_snapshot) == 0 ? [] : [
    {
      title = "Snapshots: share of the hour that small tables of a pipeline were read"
      query = "sum by (pipeline) (increase(${local.seconds}_sum{monitored_resource=\"cloud_run_revision\",function=\"read_snapshot\"}[1h])) / 3600"
    },
  ])

  chart_tiles = [
    for index, chart in local.charts : {
      xPos   = index % 2 * 24
      yPos   = floor(index / 2) * 16
      width  = 24
      height = 16
      widget = {
        title = chart.title
        xyChart = {
          dataSets = [{
            plotType        = "LINE"
            timeSeriesQuery = { prometheusQuery = chart.query }
          }]
        }
      }
    }
  ]

  log_tile = {
    xPos   = length(local.charts) % 2 * 24
    yPos   = floor(length(local.charts) / 2) * 16
    width  = 24
    height = 16
    widget = {
      title     = "Warnings and errors"
      logsPanel = { filter = "${local.our_lines}severity>=WARNING\njsonPayload.outcome:*" }
    }
  }
}

resource "google_monitoring_dashboard" "mirror" {
  project = var.project_id
  dashboard_json = jsonencode({
    displayName  = "${var.prefix}Cloud SQL Mirror"
    mosaicLayout = { columns = 48, tiles = concat(local.chart_tiles, [local.log_tile]) }
  })

  depends_on = [google_project_service.api]
}
