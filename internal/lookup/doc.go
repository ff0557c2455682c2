// Package lookup has the keys by which the forwarders of vswitch compare and look up addresses, and the table in which they look them up
// without a lock.
package lookup
