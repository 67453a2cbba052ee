# Three databases on two instances that have private addresses only, one of them in another project; data in the EU. The small
# tables of one are read over a connection, all at one moment.

module "mirror" {
  source = "git::https://github.com/YOUR-ORG/cloud-sql-mirror.git//terraform?ref=v0.5.0"

  project_id = "my-warehouse"
  region     = "europe-west1"

  network = {
    network    = "projects/my-warehouse/global/networks/shared"
    subnetwork = "projects/my-warehouse/regions/europe-west1/subnetworks/functions"
  }

  pipelines = {
    billing = {
      instance        = "my-shop:europe-west1:main-db"
      database        = "billing"
      ip_type         = "PRIVATE"
      bucket          = "my-warehouse-mirror"
      bucket_location = "EU"
      shards_dataset  = "billing_shards"
      views_dataset   = "billing"
      keep_days       = 400
      small_tables    = "snapshot"
      time_zone       = "Europe/Berlin"
      schedule        = "30 4 * * *"
    }
    orders = {
      instance        = "my-shop:europe-west1:main-db"
      database        = "orders"
      ip_type         = "PRIVATE"
      schemas         = ["public", "sales"]
      exclude         = ["public.tmp_*"]
      bucket          = "my-warehouse-mirror"
      bucket_location = "EU"
      shards_dataset  = "orders_shards"
      views_dataset   = "orders"
      keep_days       = 400
      time_zone       = "Europe/Berlin"
      schedule        = "30 4 * * *"
    }
    # An old application, whose database has only password users. It is mirrored on Sundays.
    archive = {
      instance        = "my-warehouse:europe-west1:archive-db"
      database        = "archive"
      user            = "mirror"
      password_file   = "/secrets/archive/password"
      ip_type         = "PRIVATE"
      bucket          = "my-warehouse-mirror-archive"
      bucket_location = "EU"
      shards_dataset  = "archive_shards"
      views_dataset   = "archive"
      keep_days       = 400
      schedule        = "0 4 * * 0"
      export_days     = 90
    }
  }

  kms_key_name          = "projects/my-keys/locations/europe/keyRings/data/cryptoKeys/mirror"
  notification_channels = ["projects/my-warehouse/notificationChannels/123"]
  readers               = ["group:analysts@example.com", "domain:example.com"]
}

output "grants" {
  description = "What to run in each database."
  value       = module.mirror.grants
}

output "retention" {
  description = "For how many days a row can be found after it has left its database."
  value       = module.mirror.retention
}

output "settings" {
  description = "What the command mirror works on."
  value       = module.mirror.settings
}
