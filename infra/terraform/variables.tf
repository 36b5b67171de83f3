variable "project" {
  description = "Google Cloud project that everything is made in; it has billing."
  type        = string
}

variable "region" {
  description = "Region of cluster, bucket and images, such as europe-west4."
  type        = string
}

variable "zone" {
  description = "Zone of the cluster's nodes, one that has the GPUs, such as europe-west4-a."
  type        = string
}

variable "name" {
  description = "Name of cluster and network, and beginning of all other names."
  type        = string
  default     = "tapirus"
}

variable "namespace" {
  description = "Kubernetes namespace of the launches, target.namespace in their settings."
  type        = string
  default     = "tapirus"
}

variable "bucket" {
  description = "Name of the bucket for videos and datasets; of all buckets in the world no other has it."
  type        = string
}

variable "temporary_days" {
  description = "Days after which what lies under tmp/ in the bucket is deleted."
  type        = number
  default     = 7
}

variable "subnetwork_range" {
  description = "Addresses of the nodes and of Dataflow's workers."
  type        = string
  default     = "10.10.0.0/20"
}

variable "ray_host" {
  description = "Address within subnetwork_range that the Ray cluster listens on for Dataflow."
  type        = string
  default     = "10.10.0.10"
}

variable "admin_ranges" {
  description = "Addresses that may reach the cluster's control plane, such as your office's 203.0.113.0/24."
  type        = list(string)
}

variable "gpu_type" {
  description = "Accelerator of the GPU nodes, kuberay.gpu_type in the settings."
  type        = string
  default     = "nvidia-l4"
}

variable "gpu_machine_type" {
  description = "Machine type of the GPU nodes, with one GPU each."
  type        = string
  default     = "g2-standard-8"
}

variable "max_gpu_nodes" {
  description = "GPU nodes at most; there is none while no run asks for one."
  type        = number
  default     = 8
}

variable "cpu_machine_type" {
  description = "Machine type of the CPU workers' nodes."
  type        = string
  default     = "n2-standard-8"
}

variable "max_cpu_nodes" {
  description = "CPU worker nodes at most; there is none while no run asks for one."
  type        = number
  default     = 4
}

variable "system_machine_type" {
  description = "Machine type of the nodes that are always there or never spot: operator and Ray heads."
  type        = string
  default     = "n2-standard-8"
}

variable "max_system_nodes" {
  description = "System nodes at most; one is always there."
  type        = number
  default     = 3
}

variable "spot" {
  description = "Workers on spot nodes: cheaper, and may be taken away at any time."
  type        = bool
  default     = true
}

variable "dataflow" {
  description = "Make what the dataflow target needs as well."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Keep `terraform destroy` from deleting the cluster, and the bucket while it holds files."
  type        = bool
  default     = true
}
