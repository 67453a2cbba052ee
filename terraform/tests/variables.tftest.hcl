# What is refused before anything is made. tests/soak/test_terraform.py holds each rule of pipelines, and its message.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
  good = {
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "my-project-mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
  }
  other = {
    instance       = "my-project:europe-west1:orders-db"
    database       = "orders"
    bucket         = "my-project-mirror"
    shards_dataset = "orders_shards"
    views_dataset  = "orders"
    keep_days      = 400
  }
}

run "no_pipelines" {
  command = plan

  variables {
    pipelines = {}
  }

  expect_failures = [var.pipelines]
}

run "a_key_that_no_pipeline_has" {
  command = plan

  variables {
    pipelines = { billing = merge(var.good, { schedul = "0 5 * * *" }) }
  }

  expect_failures = [var.pipelines]
}

run "no_word_on_how_long_shards_are_kept" {
  command = plan

  variables {
    pipelines = { billing = { for key, value in var.good : key => value if key != "keep_days" } }
  }

  expect_failures = [var.pipelines]
}

run "shards_and_views_in_one_dataset" {
  command = plan

  module {
    source = "./pipelines"
  }

  variables {
    pipelines = { billing = merge(var.good, { views_dataset = "mirror_shards" }) }
  }

  expect_failures = [var.pipelines]
}

run "a_user_without_a_password" {
  command = plan

  module {
    source = "./pipelines"
  }

  variables {
    pipelines = { billing = merge(var.good, { user = "mirror" }) }
  }

  expect_failures = [var.pipelines]
}

run "a_schedule_of_six_fields" {
  command = plan

  module {
    source = "./pipelines"
  }

  variables {
    pipelines = { billing = merge(var.good, { schedule = "0 0 2 * * *" }) }
  }

  expect_failures = [var.pipelines]
}

run "small_tables_that_go_a_way_that_there_is_not" {
  command = plan

  module {
    source = "./pipelines"
  }

  variables {
    pipelines = { billing = merge(var.good, { small_tables = "stream" }) }
  }

  expect_failures = [var.pipelines]
}

run "a_bucket_in_two_locations" {
  command = plan

  module {
    source = "./pipelines"
  }

  variables {
    pipelines = { billing = var.good, orders = merge(var.other, { bucket_location = "EU" }) }
  }

  expect_failures = [var.pipelines]
}

run "a_job_that_runs_as_nobody" {
  command = plan

  module {
    source = "./pipelines"
  }

  variables {
    pipelines = { billing = merge(var.good, { loader = "scio", dataflow = { template = "gs://b/t.json", region = "europe-west1" } }) }
  }

  expect_failures = [var.pipelines]
}

run "a_worker_of_no_scio_pipeline" {
  command = plan

  variables {
    pipelines    = { billing = var.good }
    scio_workers = { billing = "worker@my-project.iam.gserviceaccount.com" }
  }

  expect_failures = [var.scio_workers]
}

run "every_other_variable_that_is_wrong_is_named" {
  command = plan

  variables {
    pipelines        = { billing = var.good }
    job_events       = "polling"
    kms_key_name     = "my-key"
    late_after_hours = 0
    operators        = ["allAuthenticatedUsers"]
    prefix           = "eu"
    project_id       = "123456789012"
    readers          = ["allUsers"]
    region           = "EU"
  }

  expect_failures = [
    var.job_events,
    var.kms_key_name,
    var.late_after_hours,
    var.operators,
    var.prefix,
    var.project_id,
    var.readers,
    var.region,
  ]
}

run "shards_may_be_kept_for_ever_and_defaults_are_those_of_the_readme" {
  command = plan

  variables {
    pipelines = { billing = merge(var.good, { keep_days = null }) }
  }

  assert {
    condition     = !can(local.settings["billing"].keep_days)
    error_message = "keep_days is given to the functions."
  }
  assert {
    condition     = google_cloud_scheduler_job.mirror["billing"].schedule == "0 4 * * *"
    error_message = "The default schedule is in an hour that a change of the clocks may double or skip."
  }
  assert {
    condition     = [for rule in google_storage_bucket.files["my-project-mirror"].lifecycle_rule : tolist(rule.condition)[0].age] == [7, 40]
    error_message = "Files and records are gone before the dead letters that need them."
  }
}

run "more_than_an_environment_holds" {
  command = plan

  variables {
    pipelines = {
      billing = merge(var.good, { exclude = [for number in range(1000) : "public.a_table_of_no_use_to_anybody_${number}"] })
    }
  }

  expect_failures = [google_cloudfunctions2_function.function]
}
