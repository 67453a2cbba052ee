# What calls the functions: schedules, our own push subscriptions, and events.

resource "google_cloud_scheduler_job" "mirror" {
  for_each = local.pipelines

  name        = "${var.prefix}mirror-${each.key}"
  project     = var.project_id
  region      = var.region
  description = "Mirrors ${each.value.database} of ${each.value.instance}."
  schedule    = each.value.schedule
  time_zone   = each.value.time_zone

  pubsub_target {
    topic_name = local.topics["mirror-requests"]
    data       = base64encode(jsonencode({ pipeline = each.key }))
  }

  retry_config {
    retry_count = 5
  }

  depends_on = [google_project_service.api]
}

# Google says that the audit log is not complete. The reconcile finds the shards whose event was lost.
resource "google_cloud_scheduler_job" "reconcile" {
  for_each = local.pipelines

  name        = "${var.prefix}reconcile-${each.key}"
  project     = var.project_id
  region      = var.region
  description = "Moves the views of ${each.key} that are behind."
  schedule    = "*/15 * * * *"
  time_zone   = "UTC"

  pubsub_target {
    topic_name = local.topics["view-refreshes"]
    data       = base64encode(jsonencode({ pipeline = each.key }))
  }

  depends_on = [google_project_service.api]
}

locals {
  subscriptions = merge([
    for name, function in local.functions : { for topic in function.hears : topic => name }
  ]...)
}

# We make the subscriptions ourselves. Those that an event trigger makes can be neither ordered nor dead-lettered, give up
# after a day, and limit their function to 540 s.
resource "google_pubsub_subscription" "push" {
  for_each = local.subscriptions

  name    = "${google_pubsub_topic.topic[each.key].name}-${replace(each.value, "_", "-")}"
  project = var.project_id
  topic   = local.topics[each.key]
  labels  = var.labels

  # The ordering key is the instance, because Cloud SQL runs one export at a time on each.
  enable_message_ordering    = each.key == "table-exports"
  ack_deadline_seconds       = local.ack_deadline_seconds
  message_retention_duration = "604800s" # 7 days

  push_config {
    # functions-framework takes the event's source from the path.
    push_endpoint = "${google_cloudfunctions2_function.function[each.value].service_config[0].uri}/${local.topics[each.key]}"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloudfunctions2_function.function[each.value].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = each.key == "table-exports" ? "60s" : "600s" # the lane waits meanwhile
  }

  dead_letter_policy {
    dead_letter_topic     = local.topics["dead-letters"]
    max_delivery_attempts = 100 # the most there is; an export of ten hours needs more than sixty
  }

  expiration_policy {
    ttl = "" # never
  }
}

resource "google_pubsub_subscription_iam_member" "gave_up" {
  for_each = google_pubsub_subscription.push

  project      = var.project_id
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

# Pub/Sub calls the functions as this account, with a token that it signs.
resource "google_service_account" "push" {
  account_id   = "${var.prefix}mirror-push"
  project      = var.project_id
  display_name = "Cloud SQL Mirror: calls the functions for Pub/Sub"

  depends_on = [google_project_service.api]
}

resource "google_service_account_iam_member" "push" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent

  depends_on = [google_pubsub_topic.topic] # the agent is there once Pub/Sub has been used
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = local.functions

  project  = var.project_id
  location = var.region
  name     = google_cloudfunctions2_function.function[each.key].name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

# Eventarc calls refresh_views as this account.
resource "google_service_account" "events" {
  account_id   = "${var.prefix}mirror-events"
  project      = var.project_id
  display_name = "Cloud SQL Mirror: calls refresh_views for Eventarc"

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "events" {
  project = var.project_id
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.events.member
}

resource "google_cloud_run_v2_service_iam_member" "events" {
  project  = var.project_id
  location = var.region
  name     = google_cloudfunctions2_function.function["refresh_views"].name
  role     = "roles/run.invoker"
  member   = google_service_account.events.member
}
