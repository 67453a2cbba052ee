# What people are told of, and when.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id            = "my-project"
  region                = "europe-west1"
  notification_channels = ["projects/my-project/notificationChannels/1"]
  pipelines = {
    for name, schedule in { daily = "0 2 * * *", weekly = "0 4 * * 0", monthly = "0 4 1 * *", yearly = "0 4 1 1 *" } : name => {
      instance                    = "my-project:europe-west1:db"
      database                    = name
      bucket                      = "my-project-mirror"
      shards_dataset              = "${name}_shards"
      views_dataset               = name
      keep_days                   = 400
      schedule                    = schedule
    }
  }
}

run "whatever_goes_wrong_is_heard_of" {
  command = plan

  # A table is late when its schedule and a margin have passed.
  assert {
    condition = { for name, policy in google_monitoring_alert_policy.late : name => policy.conditions[0].display_name } == {
      daily   = "not mirrored for 30 hours"
      weekly  = "not mirrored for 174 hours"
      monthly = "not mirrored for 750 hours"
    }
    error_message = "A schedule's longest gap is reckoned otherwise."
  }
  assert {
    condition = alltrue([
      for name, policy in google_monitoring_alert_policy.late :
      strcontains(policy.conditions[0].condition_prometheus_query_language[0].query, "pipeline=\"${name}\"")
    ])
    error_message = "A pipeline is not watched."
  }

  # The canaries of a check are no tables: one that is shown once is never late, and is no sign that a table was mirrored.
  assert {
    condition = alltrue([
      for policy in google_monitoring_alert_policy.late :
      length(regexall("outcome=~", policy.conditions[0].condition_prometheus_query_language[0].query)) ==
      length(regexall("table!~\"mirror_check[.][*]\"", policy.conditions[0].condition_prometheus_query_language[0].query))
    ])
    error_message = "A canary counts as a table that is mirrored."
  }

  # No alert looks further back than six weeks, which metrics last.
  assert {
    condition = alltrue([
      for policy in google_monitoring_alert_policy.late :
      max([for hours in flatten(regexall("\\[([0-9]+)h\\]", policy.conditions[0].condition_prometheus_query_language[0].query)) : tonumber(hours)]...) <= 1008
    ])
    error_message = "An alert asks for what Cloud Monitoring has forgotten."
  }
  assert {
    condition     = strcontains(google_monitoring_alert_policy.late["monthly"].conditions[0].condition_prometheus_query_language[0].query, "[1008h]")
    error_message = "A table that is late by a schedule of months counts as dropped too early, or too late."
  }

  # Every alert reaches somebody.
  assert {
    condition = alltrue([
      for policy in concat(values(google_monitoring_alert_policy.late), [
        google_monitoring_alert_policy.failed, google_monitoring_alert_policy.dead_letters, google_monitoring_alert_policy.slow_lane,
      ]) : policy.notification_channels == tolist(["projects/my-project/notificationChannels/1"])
    ])
    error_message = "An alert is heard by nobody."
  }

  # Any dead letter is an alert and a lane of a day is.
  assert {
    condition = (
      google_monitoring_alert_policy.dead_letters.conditions[0].condition_threshold[0].threshold_value == 0 &&
      strcontains(google_monitoring_alert_policy.dead_letters.conditions[0].condition_threshold[0].filter, "\"dead-letters\"")
    )
    error_message = "A dead letter may lie unseen."
  }
  assert {
    condition = (
      google_monitoring_alert_policy.slow_lane.conditions[0].condition_threshold[0].threshold_value == 86400 &&
      strcontains(google_monitoring_alert_policy.slow_lane.conditions[0].condition_threshold[0].filter, "\"table-exports-export-table\"")
    )
    error_message = "A lane may be a day behind unseen."
  }
}
