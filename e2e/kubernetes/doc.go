// Package kubernetes has the tests of the manifests in deploy/ under a real Kubernetes on one machine: etcd, API server, controller manager,
// scheduler, kubelet, kube-proxy, containerd, runc, and flannel as the network plugin. `make test-kubernetes` builds what they need and runs
// them; they have the build tag kubernetes, so other commands do not.
//
// The cluster runs in a node made of namespaces (e2e/kit/node), which ends with the tests. Its containers have no registry: their images
// are imported. The one thing that is not as in a manifest is the program qemu-system-x86_64 in the image of QEMU: it boots the guest of
// the tests instead of a disk.
package kubernetes
