# The topics between the functions, and from people to them. Other teams' jobs rely on their names.

resource "google_pubsub_topic" "topic" {
  for_each = toset(concat(
    [
      "dead-letters",
      "mirror-requests",
      "run-exported",
      "run-shown",
      "table-exported",
      "table-exports",
      "view-refreshes",
    ],
    var.job_events == "log_sink" ? ["job-events"] : [],
    length(local.by_snapshot) > 0 ? ["snapshots"] : [],
  ))

  #checkov:skip=CKV_GCP_83:A key of your own is a choice, kms_key_name
  name         = "${var.prefix}${each.value}"
  project      = var.project_id
  kms_key_name = var.kms_key_name
  labels       = var.labels

  depends_on = [google_kms_crypto_key_iam_member.agent, google_project_service.api]
}

locals {
  topics = { for key, topic in google_pubsub_topic.topic : key => "projects/${var.project_id}/topics/${topic.name}" }

  # A lane's order holds only for messages that are published in one region.
  pubsub_endpoint = "${var.region}-pubsub.googleapis.com"

  publishers = merge([
    for name, function in local.functions : {
      for topic in concat(["dead-letters"], values(function.publishes)) :
      "${name}/${topic}" => { function = name, topic = topic }
    }
  ]...)
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.publishers

  project = var.project_id
  topic   = google_pubsub_topic.topic[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.function[each.value.function].member
}

# People ask for runs, pin views, and publish again what a function has given up. What a message of the mirror's own may do is
# what the record of its run says. Entries of job-events are believed, so nobody may publish there.
resource "google_pubsub_topic_iam_member" "operator" {
  for_each = {
    for pair in setproduct(setsubtract(keys(local.subscriptions), ["job-events"]), var.operators) :
    "${pair[0]}/${pair[1]}" => { topic = pair[0], member = pair[1] }
  }

  project = var.project_id
  topic   = google_pubsub_topic.topic[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = each.value.member
}

# The dead letters, for people to look at. No function reads them.
resource "google_pubsub_subscription" "dead_letters" {
  name    = google_pubsub_topic.topic["dead-letters"].name
  project = var.project_id
  topic   = local.topics["dead-letters"]
  labels  = var.labels

  message_retention_duration = "2678400s" # 31 days, the most there is
  ack_deadline_seconds       = 600

  expiration_policy {
    ttl = "" # never
  }
}

resource "google_pubsub_subscription_iam_member" "operator" {
  for_each = var.operators

  project      = var.project_id
  subscription = google_pubsub_subscription.dead_letters.name
  role         = "roles/pubsub.subscriber"
  member       = each.value
}

# Pub/Sub itself dead-letters a message after its last delivery. It publishes it here, and acknowledges it on its own
# subscription (triggers.tf).
resource "google_pubsub_topic_iam_member" "gave_up" {
  project = var.project_id
  topic   = google_pubsub_topic.topic["dead-letters"].name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}
