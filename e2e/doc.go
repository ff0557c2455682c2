// Package e2e has the end-to-end tests. They run the podswitch binary in network namespaces, with devices of the kernel, DHCP clients of
// distributions, and guests in QEMU. They need root and the packages that `make setup` installs.
//
// Every test makes its own lab (lab_test.go) with unique names and removes it afterwards. Runs at the same time therefore do not collide.
//
// The tests do not depend on what they inherit: open descriptors, ignored signals, umask, TMPDIR, HOME, locale and time zone (main_test.go).
// A test puts the sockets of podswitch into a directory of socketDir, awaits conditions instead of sleeping, and bounds only events that must
// happen within a time that the test checks, or the lack of progress.
package e2e
