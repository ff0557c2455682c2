// Package e2e holds the end-to-end tests: the podswitch binary in network namespaces, between the kernel's own devices, real
// DHCP clients and real guests. They need root, and the packages that `make setup` installs.
//
// Every test builds its own lab (lab_test.go) with names of its own, and leaves nothing behind.
package e2e
