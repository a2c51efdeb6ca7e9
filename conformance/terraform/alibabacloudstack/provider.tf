terraform {
  required_providers {
    alibabacloudstack = {
      source = "aliyun/alibabacloudstack"
    }
  }
}

variable "portcullis" {
  description = "Where the server listens, without a scheme."
  default     = "127.0.0.1:8080"
}

# The access key comes from ALIBABACLOUDSTACK_ACCESS_KEY and ALIBABACLOUDSTACK_SECRET_KEY.
provider "alibabacloudstack" {
  region                 = "cn-hangzhou"
  protocol               = "HTTP"
  skip_region_validation = true
  department             = "1"
  resource_group         = "1"

  endpoints {
    ecs = var.portcullis
    vpc = var.portcullis
  }
}
