// Package e2e has the end-to-end tests. They run the podswitch binary in network namespaces, with devices of the kernel, DHCP clients of
// distributions, and guests in QEMU. They need root and the packages that `make setup` installs.
//
// Every test makes its own lab (lab_test.go) with unique names and removes it afterwards. Runs at the same time therefore do not collide.
package e2e
