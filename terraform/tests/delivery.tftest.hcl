# How messages are delivered: in order where a lane needs it, again where something failed, and never lost.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
  pipelines = {
    for number in range(3) : "p${number}" => {
      instance       = "my-project:europe-west1:db-${number}"
      database       = "main"
      bucket         = "my-project-mirror"
      shards_dataset = "shards_${number}"
      views_dataset  = "views_${number}"
      keep_days      = 400
    }
  }
}

run "nothing_is_lost_and_lanes_keep_their_order" {
  command = plan

  # Exports come in order and nothing else does.
  assert {
    condition     = [for topic, subscription in google_pubsub_subscription.push : topic if subscription.enable_message_ordering] == ["table-exports"]
    error_message = "The ordering key is the queue of an instance, and of nothing else."
  }

  # A lane does not idle long after a failure.
  assert {
    condition = (
      google_pubsub_subscription.push["table-exports"].retry_policy[0].minimum_backoff == "10s" &&
      google_pubsub_subscription.push["table-exports"].retry_policy[0].maximum_backoff == "60s"
    )
    error_message = "An export is delivered again after 10 to 60 s."
  }

  # Every input is dead lettered after a hundred deliveries.
  assert {
    condition = alltrue([
      for subscription in google_pubsub_subscription.push :
      subscription.dead_letter_policy[0].dead_letter_topic == "projects/my-project/topics/dead-letters" &&
      subscription.dead_letter_policy[0].max_delivery_attempts == 100
    ])
    error_message = "A subscription would lose a message, or give it up early."
  }
  assert {
    condition     = toset(keys(google_pubsub_subscription_iam_member.gave_up)) == toset(keys(google_pubsub_subscription.push))
    error_message = "Pub/Sub may not acknowledge what it has dead-lettered."
  }
  assert {
    condition     = google_pubsub_topic_iam_member.gave_up.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
    error_message = "Pub/Sub may not dead-letter: ${google_pubsub_topic_iam_member.gave_up.member}."
  }

  # Dead letters are kept as long as can be and read by people only.
  assert {
    condition     = google_pubsub_subscription.dead_letters.message_retention_duration == "2678400s"
    error_message = "They are kept for ${google_pubsub_subscription.dead_letters.message_retention_duration}."
  }
  assert {
    condition     = length(google_pubsub_subscription.dead_letters.push_config) == 0
    error_message = "They are pushed somewhere."
  }

  # No subscription expires.
  assert {
    condition = alltrue([
      for subscription in concat(values(google_pubsub_subscription.push), [google_pubsub_subscription.dead_letters]) :
      subscription.expiration_policy[0].ttl == ""
    ])
    error_message = "A subscription would be gone after a month of silence."
  }

  # A wait fits in the function and in the deadline.
  assert {
    condition = (
      tonumber(google_cloudfunctions2_function.function["export_table"].service_config[0].environment_variables["WAIT_BUDGET_SECONDS"])
      < google_pubsub_subscription.push["table-exports"].ack_deadline_seconds
    )
    error_message = "Pub/Sub would deliver an export again that is still waited for."
  }
  assert {
    condition = (
      tonumber(google_cloudfunctions2_function.function["export_table"].service_config[0].environment_variables["WAIT_BUDGET_SECONDS"])
      < google_cloudfunctions2_function.function["export_table"].service_config[0].timeout_seconds
    )
    error_message = "export_table would be stopped while it waits."
  }
  assert {
    condition     = alltrue([for subscription in google_pubsub_subscription.push : subscription.ack_deadline_seconds == 600])
    error_message = "The deadline is not the longest there is."
  }

  # Every lane finds a place.
  assert {
    condition = (
      google_cloudfunctions2_function.function["export_table"].service_config[0].max_instance_count *
      google_cloudfunctions2_function.function["export_table"].service_config[0].max_instance_request_concurrency
    ) >= 3
    error_message = "A lane would wait for another."
  }
  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.function :
      tonumber(function.service_config[0].environment_variables["THREADS"]) >= function.service_config[0].max_instance_request_concurrency
    ])
    error_message = "A request would wait inside an instance for another's wait."
  }

  # Only refresh views has an event trigger and it is retried.
  assert {
    condition     = [for name, function in google_cloudfunctions2_function.function : name if length(function.event_trigger) > 0] == ["refresh_views"]
    error_message = "An event trigger holds its function to 540 s, and its messages are lost after a day."
  }
  assert {
    condition     = google_cloudfunctions2_function.function["refresh_views"].event_trigger[0].retry_policy == "RETRY_POLICY_RETRY"
    error_message = "A failure would be forgotten."
  }
  assert {
    condition     = google_cloudfunctions2_function.function["refresh_views"].service_config[0].timeout_seconds <= 540
    error_message = "A function with an event trigger may run 540 s."
  }
  assert {
    condition     = google_cloudfunctions2_function.function["refresh_views"].event_trigger[0].trigger_region == "europe-west1"
    error_message = "Jobs on datasets of one region are heard of there."
  }

  # Views are reconciled every quarter of an hour.
  assert {
    condition     = alltrue([for name in keys(var.pipelines) : google_cloud_scheduler_job.reconcile[name].schedule == "*/15 * * * *"])
    error_message = "A lost event would stay lost."
  }
}
