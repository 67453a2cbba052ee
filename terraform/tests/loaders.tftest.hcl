# Who makes the shards, and how refresh_views hears of it.

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

run "bigquery_loads_where_nothing_else_is_said" {
  command = plan

  assert {
    condition     = contains(keys(output.functions), "load_shard") && contains(keys(google_pubsub_subscription.push), "table-exported")
    error_message = "No function loads."
  }
  assert {
    condition     = length(google_project_iam_member.load_shard_runs_jobs) == 1
    error_message = "load_shard may not run jobs."
  }
  assert {
    condition     = length(google_eventarc_trigger.dataflow) == 0 && !contains(keys(output.functions), "start_loader")
    error_message = "Something of Dataflow is there, and of no use."
  }
}

run "a_scio_team_has_no_load_shard" {
  command = plan

  variables {
    pipelines = {
      billing = {
        instance       = "my-project:europe-west1:billing-db"
        database       = "billing"
        bucket         = "my-project-mirror"
        shards_dataset = "mirror_shards"
        views_dataset  = "mirror"
        keep_days      = 400
        loader         = "scio"
      }
    }
    scio_workers = {
      billing = "worker@my-project.iam.gserviceaccount.com"
    }
  }

  assert {
    condition     = toset(keys(output.functions)) == toset(["list_tables", "export_table", "refresh_views"])
    error_message = "Functions: ${join(", ", keys(output.functions))}."
  }
  assert {
    condition     = length(google_project_iam_member.load_shard_runs_jobs) == 0 && !contains(keys(google_pubsub_subscription.push), "table-exported")
    error_message = "Something of load_shard is left."
  }
  assert {
    condition     = google_pubsub_topic.topic["table-exported"].name == "table-exported" && google_pubsub_topic.topic["run-exported"].name == "run-exported"
    error_message = "The team's job is not told."
  }
  assert {
    condition     = google_storage_bucket_iam_member.scio["billing"].role == "roles/storage.objectViewer"
    error_message = "The team's job may not read the files, or may change them."
  }
  assert {
    condition = contains(
      [for access in google_bigquery_dataset.shards["billing"].access : "${access.role} ${access.user_by_email}" if access.role == "WRITER"],
      "WRITER worker@my-project.iam.gserviceaccount.com",
    )
    error_message = "The team's job may not write shards."
  }
  assert {
    condition     = keys(google_eventarc_trigger.dataflow) == ["europe-west1"]
    error_message = "refresh_views does not hear of the team's jobs."
  }
  assert {
    condition     = google_eventarc_trigger.dataflow["europe-west1"].destination[0].cloud_run_service[0].service == "refresh-views"
    error_message = "Dataflow's events go to ${google_eventarc_trigger.dataflow["europe-west1"].destination[0].cloud_run_service[0].service}."
  }
}

run "a_job_that_the_mirror_launches" {
  command = plan

  variables {
    pipelines = {
      billing = {
        instance       = "my-project:europe-west1:billing-db"
        database       = "billing"
        bucket         = "my-project-mirror"
        shards_dataset = "mirror_shards"
        views_dataset  = "mirror"
        keep_days      = 400
        loader         = "scio"
        dataflow = {
          template        = "gs://my-project-templates/mirror.json"
          region          = "europe-west4"
          service_account = "worker@my-project.iam.gserviceaccount.com"
        }
      }
    }
  }

  assert {
    condition     = keys(google_eventarc_trigger.dataflow) == ["europe-west4"]
    error_message = "Dataflow tells of a job in the job's region only."
  }
  assert {
    condition     = keys(google_storage_bucket_iam_member.scio) == ["billing"]
    error_message = "The service account that the pipeline names may not read the files."
  }
  assert {
    condition     = google_pubsub_subscription.push["run-exported"].name == "run-exported-start-loader"
    error_message = "No function launches the job when a run is complete."
  }
  assert {
    condition     = google_project_iam_custom_role.launcher[0].permissions == toset(["dataflow.jobs.create", "dataflow.jobs.get", "dataflow.jobs.list"])
    error_message = "start_loader may do more with jobs than it needs, or less."
  }
  assert {
    condition     = keys(google_service_account_iam_member.runs_jobs_as) == ["worker@my-project.iam.gserviceaccount.com"]
    error_message = "start_loader may run jobs as somebody else, or as nobody."
  }
  assert {
    condition     = google_storage_bucket_iam_member.template["my-project-templates/mirror.json"].condition[0].expression == "resource.name == \"projects/_/buckets/my-project-templates/objects/mirror.json\""
    error_message = "start_loader may read ${google_storage_bucket_iam_member.template["my-project-templates/mirror.json"].condition[0].expression}."
  }
  assert {
    condition = { for name, member in google_storage_bucket_iam_member.records : name => [member.role, member.condition[0].expression] } == {
      billing = ["roles/storage.objectViewer", "resource.name == \"projects/_/buckets/my-project-mirror\" || resource.name.startsWith(\"projects/_/buckets/my-project-mirror/objects/billing/\")"]
    }
    error_message = "start_loader cannot look up how a run was announced, or may do more than that."
  }
  assert {
    condition     = jsondecode(google_cloudfunctions2_function.function["start_loader"].service_config[0].environment_variables["PIPELINES"]).billing.dataflow == { template = "gs://my-project-templates/mirror.json", region = "europe-west4", service_account = "worker@my-project.iam.gserviceaccount.com" }
    error_message = "start_loader is told of a setting that nobody made."
  }
}

run "a_global_trigger_hears_of_multi_regions" {
  command = plan

  variables {
    pipelines = {
      billing = {
        instance        = "my-project:europe-west1:billing-db"
        database        = "billing"
        bucket          = "my-project-mirror"
        bucket_location = "EU"
        shards_dataset  = "mirror_shards"
        views_dataset   = "mirror"
        keep_days       = 400
      }
    }
  }

  assert {
    condition     = google_cloudfunctions2_function.function["refresh_views"].event_trigger[0].trigger_region == "global"
    error_message = "No trigger in a region hears of jobs in EU."
  }
  assert {
    condition = toset([
      google_storage_bucket.files["my-project-mirror"].location,
      google_bigquery_dataset.shards["billing"].location,
      google_bigquery_dataset.views["billing"].location,
    ]) == toset(["EU"])
    error_message = "Files, shards and views are not in one location."
  }
}

run "a_log_sink_takes_the_place_of_the_event_trigger" {
  command = plan

  variables {
    job_events = "log_sink"
    operators  = ["group:oncall@example.com"]
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.function : length(function.event_trigger) == 0])
    error_message = "Every job of the project would still call refresh_views."
  }
  assert {
    condition     = google_pubsub_subscription.push["job-events"].dead_letter_policy[0].dead_letter_topic == "projects/my-project/topics/dead-letters"
    error_message = "What the sink finds is not delivered."
  }
  assert {
    condition = { for name, function in google_cloudfunctions2_function.function :
      name => function.service_config[0].environment_variables["JOB_EVENTS_TOPIC"]
      if can(function.service_config[0].environment_variables["JOB_EVENTS_TOPIC"])
    } == { refresh_views = "projects/my-project/topics/job-events" }
    error_message = "refresh_views does not believe what the sink publishes."
  }
  assert {
    condition     = google_logging_project_sink.jobs[0].destination == "pubsub.googleapis.com/projects/my-project/topics/job-events"
    error_message = "The sink writes to ${google_logging_project_sink.jobs[0].destination}."
  }
  assert {
    condition     = strcontains(google_logging_project_sink.jobs[0].filter, "^projects/my-project/datasets/(mirror_shards)/tables/.+_[0-9]{8}$")
    error_message = "The sink lets other jobs through."
  }
  assert {
    condition     = google_pubsub_topic_iam_member.sink[0].member == google_logging_project_sink.jobs[0].writer_identity
    error_message = "The sink may not publish."
  }

  # What comes from the sink is believed.
  assert {
    condition = length(google_pubsub_topic_iam_member.operator) > 0 && alltrue([
      for member in google_pubsub_topic_iam_member.operator : member.topic != google_pubsub_topic.topic["job-events"].name
    ])
    error_message = "Somebody else may tell of jobs."
  }
}
