// Package kubernetes has the tests of the manifests in deploy/ under a real Kubernetes on one machine: etcd, API server, controller manager,
// scheduler, kubelet, kube-proxy, containerd, runc, and flannel as the network plugin. `make test-kubernetes` builds what they need and runs
// them. They have the build tag kubernetes, so other commands do not run them.
//
//	build             compiles the programs of Kubernetes; images makes the container images, with the files in image
//	main_test.go      the order of the tests
//	machine_test.go   what must not be left on the machine
//	node_test.go      a node; cluster_test.go has the control plane, kubelet_test.go what runs pods on a node
//	vm_test.go        a pod with a guest; disturb_test.go observes what a kill or a replacement does to it
//
// The cluster runs in a node made of namespaces (e2e/kit/node), which ends with the tests. Its containers have no registry: their images
// are imported. The one thing that is not as in a manifest is the program qemu-system-x86_64 in the image of QEMU: it boots the guest of
// the tests instead of a disk.
package kubernetes
