# Pipelines that break every rule of pipelines/main.tf, in one plan. Sharing all of their datasets is one more fault.

project_id = "my-project"
region     = "europe-west1"

pipelines = {
  Billing = { # an upper-case letter
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
  }
  p0 = { # an instance without its region
    instance       = "my-project:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
  }
  p1 = { # a URL
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "gs://mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
  }
  p2 = { # a dataset with its project
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "my-project.mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
  }
  p3 = { # no loader
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    loader         = "airflow"
  }
  p4 = { # no format
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    format         = "avro"
  }
  p5 = { # a percentage
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    max_shrink     = 50
  }
  p6 = { # not whole
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 0.5
  }
  p7 = { # beside bigquery, no URL, no account
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    dataflow       = { template = "mirror.json", region = "europe-west1" }
  }
  p8 = { # no password
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    user           = "mirror"
  }
  p9 = { # at the root
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    user           = "mirror"
    password_file  = "/password"
  }
  p10 = { # in the same folder
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    user           = "mirror"
    password_file  = "/password"
  }
  p11 = { # six fields
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    schedule       = "0 0 2 * * *"
  }
  p12 = { # lower case, and another location than the others
    instance        = "my-project:europe-west1:billing-db"
    database        = "billing"
    bucket          = "mirror"
    shards_dataset  = "mirror_shards"
    views_dataset   = "mirror"
    keep_days       = 400
    bucket_location = "eu"
  }
  p13 = { # while it is loaded
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    export_days    = 1
  }
  p14 = { # no path
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    user           = "mirror"
    host           = "10.0.0.3:5432"
    ca_file        = "ca.pem"
  }
  p15 = { # checked by nobody
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    user           = "mirror"
    host           = "10.0.0.3:5432"
  }
  p16 = { # which would match nothing
    instance       = "my-project:europe-west1:billing-db"
    database       = "billing"
    bucket         = "mirror"
    shards_dataset = "mirror_shards"
    views_dataset  = "mirror"
    keep_days      = 400
    leave_out      = ["*.password", ""]
  }
}
