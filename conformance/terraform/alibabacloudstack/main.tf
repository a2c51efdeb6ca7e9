# What `terraform apply -var change=true` alters, it alters in place.
variable "change" {
  default = false
}

resource "alibabacloudstack_vpc" "main" {
  vpc_name    = var.change ? "main-2" : "main"
  description = "The network of the example."
  cidr_block  = "10.0.0.0/16"
}

resource "alibabacloudstack_vswitch" "main" {
  vswitch_name = var.change ? "main-2" : "main"
  vpc_id       = alibabacloudstack_vpc.main.id
  zone_id      = "cn-hangzhou-a"
  cidr_block   = "10.0.1.0/24"
}

resource "alibabacloudstack_security_group" "web" {
  name        = var.change ? "web-2" : "web"
  description = "Web servers."
  vpc_id      = alibabacloudstack_vpc.main.id
  type        = "normal"

  tags = {
    stage = var.change ? "live" : "test"
  }
}

resource "alibabacloudstack_security_group" "balancer" {
  name   = "balancer"
  vpc_id = alibabacloudstack_vpc.main.id
  type   = "normal"
}

resource "alibabacloudstack_security_group_rule" "from_balancer" {
  security_group_id        = alibabacloudstack_security_group.web.id
  type                     = "ingress"
  ip_protocol              = "tcp"
  port_range               = "8080/8080"
  priority                 = 1
  source_security_group_id = alibabacloudstack_security_group.balancer.id
  description              = var.change ? "What the balancer passes on." : "Balancer."
}

resource "alibabacloudstack_security_group_rule" "one_host" {
  security_group_id = alibabacloudstack_security_group.web.id
  type              = "egress"
  ip_protocol       = "tcp"
  port_range        = "80/80"
  policy            = "drop"
  priority          = 1
  cidr_ip           = "192.0.2.7"
  description       = var.change ? "Never that host." : "Not that host."
}

resource "alibabacloudstack_network_interface" "web" {
  network_interface_name = var.change ? "web-2" : "web"
  vswitch_id             = alibabacloudstack_vswitch.main.id
  security_groups        = [alibabacloudstack_security_group.web.id]
  primary_ip_address     = "10.0.1.10"
}
