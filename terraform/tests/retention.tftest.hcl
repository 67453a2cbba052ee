# For how long a row can be found after it has left the database.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
  pipelines = {
    daily = {
      instance       = "my-project:europe-west1:main-db"
      database       = "daily"
      bucket         = "my-project-mirror"
      shards_dataset = "daily_shards"
      views_dataset  = "daily"
      keep_days      = 30
      export_days    = 40
    }
    files-longer = {
      instance       = "my-project:europe-west1:main-db"
      database       = "files"
      bucket         = "my-project-mirror"
      shards_dataset = "files_shards"
      views_dataset  = "files"
      keep_days      = 1
      export_days    = 60
    }
    weekly = {
      instance       = "my-project:europe-west1:main-db"
      database       = "weekly"
      bucket         = "my-project-mirror"
      shards_dataset = "weekly_shards"
      views_dataset  = "weekly"
      keep_days      = 3
      export_days    = 2
      schedule       = "0 4 * * 1"
    }
    for-ever = {
      instance       = "my-project:europe-west1:main-db"
      database       = "ever"
      bucket         = "my-project-mirror"
      shards_dataset = "ever_shards"
      views_dataset  = "ever"
      keep_days      = null
    }
  }
}

run "the_sum_of_days_is_shown" {
  command = plan

  assert {
    condition     = output.retention["daily"] == { kept = 31, time_travel = 7, fail_safe = 7, shards = 45, files = 41, all = 45 }
    error_message = "A row is in shards for keep_days, time travel and fail-safe."
  }
  assert {
    condition     = output.retention["files-longer"] == { kept = 3, time_travel = 7, fail_safe = 7, shards = 17, files = 61, all = 61 }
    error_message = "A shard is shown for a day and kept for another, and files may outlast it."
  }
  assert {
    condition     = output.retention["weekly"] == { kept = 9, time_travel = 7, fail_safe = 7, shards = 23, files = 3, all = 23 }
    error_message = "A shard is shown until the next run, a week later, and a day more."
  }
  assert {
    condition     = output.retention["for-ever"].shards == null && output.retention["for-ever"].all == null && output.retention["for-ever"].files == 41
    error_message = "Without keep_days there is no end."
  }
}

run "it_rests_on_what_is_made" {
  command = plan

  assert {
    condition     = alltrue([for shards in google_bigquery_dataset.shards : tonumber(shards.max_time_travel_hours) == 7 * 24])
    error_message = "Time travel is another than that of the sum."
  }
  assert {
    condition     = google_storage_bucket.files["my-project-mirror"].soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "Files that are deleted are kept, and the sum leaves that out."
  }
  assert {
    condition = alltrue([
      for name, pipeline in var.pipelines : contains([
        for rule in google_storage_bucket.files["my-project-mirror"].lifecycle_rule :
        tolist(rule.condition)[0].age + 1 if contains(tolist(rule.condition)[0].matches_prefix, "${name}/")
      ], output.retention[name].files)
    ])
    error_message = "Files are kept for another time than that of the sum."
  }
}

run "columns_that_do_not_leave_are_given_to_the_functions" {
  command = plan

  variables {
    pipelines = {
      billing = {
        instance       = "my-project:europe-west1:main-db"
        database       = "billing"
        bucket         = "my-project-mirror"
        shards_dataset = "billing_shards"
        views_dataset  = "billing"
        keep_days      = 30
        leave_out      = ["*.password"]
        hash           = ["public.users.email"]
      }
    }
  }

  assert {
    condition = alltrue([
      for function in google_cloudfunctions2_function.function :
      jsondecode(function.service_config[0].environment_variables.PIPELINES).billing.leave_out == ["*.password"] &&
      jsondecode(function.service_config[0].environment_variables.PIPELINES).billing.hash == ["public.users.email"]
    ])
    error_message = "A function does not know which columns do not leave."
  }
}
