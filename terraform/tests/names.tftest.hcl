# The contract's names, which other teams' jobs and habits rest on.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
  pipelines = {
    billing = {
      instance       = "my-project:europe-west1:billing-db"
      database       = "billing"
      bucket         = "my-project-mirror"
      shards_dataset = "mirror_shards"
      views_dataset  = "mirror"
      keep_days      = 400
    }
  }
}

run "what_is_named_is_named_as_the_contract_has_it" {
  command = plan

  # Topics have the names of the contract.
  assert {
    condition = toset(values(output.topics)) == toset([
      for topic in ["dead-letters", "mirror-requests", "run-exported", "run-shown", "table-exported", "table-exports", "view-refreshes"] :
      "projects/my-project/topics/${topic}"
    ])
    error_message = "The topics are ${join(", ", values(output.topics))}."
  }

  # The command `mirror` works on what the functions work on.
  assert {
    condition = (
      output.settings.project == "my-project" &&
      output.settings.mirror_requests_topic == output.topics["mirror-requests"] &&
      output.settings.view_refreshes_topic == output.topics["view-refreshes"] &&
      output.settings.schedules == { for name, job in google_cloud_scheduler_job.mirror : name => job.schedule } &&
      output.settings.dead_letters_subscription == "projects/my-project/subscriptions/dead-letters" &&
      jsonencode(output.settings.pipelines) == google_cloudfunctions2_function.function["list_tables"].service_config[0].environment_variables["PIPELINES"] &&
      output.settings.pubsub_endpoint == google_cloudfunctions2_function.function["list_tables"].service_config[0].environment_variables["PUBSUB_ENDPOINT"]
    )
    error_message = "The settings are ${jsonencode(output.settings)}."
  }

  # Pub/Sub's own dead letters name a subscription alone, by which a replay finds topic and function.
  assert {
    condition = alltrue([
      for topic, subscription in google_pubsub_subscription.push :
      subscription.name == "${topic}-${replace(local.subscriptions[topic], "_", "-")}"
    ])
    error_message = "The subscriptions are ${join(", ", [for subscription in google_pubsub_subscription.push : subscription.name])}."
  }

  # A function is built from the entry file of its name.
  assert {
    condition = alltrue([
      for name, function in google_cloudfunctions2_function.function :
      function.build_config[0].entry_point == name &&
      function.build_config[0].environment_variables["GOOGLE_FUNCTION_SOURCE"] == "${name}.py"
    ])
    error_message = "A function's entry point or entry file has another name than its key."
  }

  # A push goes to a path that is the topic.
  assert {
    condition = alltrue([
      for topic, subscription in google_pubsub_subscription.push :
      endswith(subscription.push_config[0].push_endpoint, "/projects/my-project/topics/${topic}")
    ])
    error_message = "functions-framework takes the event's source from the path: ${join(", ", [for s in google_pubsub_subscription.push : s.push_config[0].push_endpoint])}."
  }
  assert {
    condition = alltrue([
      for subscription in google_pubsub_subscription.push :
      startswith(subscription.push_config[0].push_endpoint, subscription.push_config[0].oidc_token[0].audience)
    ])
    error_message = "Cloud Run takes a token for its own address only."
  }

  # The schedule asks for the pipeline by its name.
  assert {
    condition     = jsondecode(base64decode(google_cloud_scheduler_job.mirror["billing"].pubsub_target[0].data)) == { pipeline = "billing" }
    error_message = "The request is ${base64decode(google_cloud_scheduler_job.mirror["billing"].pubsub_target[0].data)}."
  }
  assert {
    condition     = google_cloud_scheduler_job.mirror["billing"].pubsub_target[0].topic_name == "projects/my-project/topics/mirror-requests"
    error_message = "The request goes to ${google_cloud_scheduler_job.mirror["billing"].pubsub_target[0].topic_name}."
  }
  assert {
    condition     = google_cloud_scheduler_job.reconcile["billing"].pubsub_target[0].topic_name == "projects/my-project/topics/view-refreshes"
    error_message = "The reconcile goes to ${google_cloud_scheduler_job.reconcile["billing"].pubsub_target[0].topic_name}."
  }
}

run "a_prefix_sets_a_second_mirror_apart" {
  command = plan

  variables {
    prefix = "eu-"
  }

  assert {
    condition     = alltrue([for topic in google_pubsub_topic.topic : startswith(topic.name, "eu-")])
    error_message = "A topic has no prefix."
  }
  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.function : startswith(function.name, "eu-")])
    error_message = "A function has no prefix."
  }
  assert {
    condition     = alltrue([for account in google_service_account.function : startswith(account.account_id, "eu-")])
    error_message = "A service account has no prefix."
  }
  assert {
    condition     = google_logging_metric.outcomes.name == "eu_mirror_outcomes"
    error_message = "The metric is called ${google_logging_metric.outcomes.name}."
  }
}
