// Package podnet describes a pod interface, moves the pod's addresses off it, and restores it exactly, also after a crash.
//
//	id, err := podnet.Discover("eth0", podnet.IPv4, podnet.IPv6) // changes nothing
//	lock, err := podnet.Lock(dir)               // one process per state directory
//	report, err := podnet.RestoreLocked(dir)          // completes what an earlier process left
//	taken, err := podnet.Take(id, dir, log)     // the addresses are off the interface
//	err = taken.GiveBack()                      // the interface is as Discover found it
//
// Every call works in the network namespace of the calling thread. A family that the caller does not name is never changed or silenced on
// the pod interface. No netlink type leaves this package.
//
// # Vocabulary
//
//	take         remove all IPv4 addresses of the pod interface and one IPv6 address, after recording it ([Take])
//	adopt        continue with what a process has taken that was killed ([Adopt])
//	give back    restore the interface from the record ([Taken.GiveBack], [RestoreLocked], [Restore])
//	silence      make the kernel answer nothing about an address on the pod interface (Take; [Mute]; silence_address.go), or nothing
//	             at all on the guest's device ([Silence])
//	mute         silence the kernel and leave the addresses on the interface ([Mute])
//	identity     everything that giving back needs: link, addresses, routes, neighbours ([Identity])
//	record       the identity and the changed sysctls, as the state file contains them
//	set aside    renamed, because the state file describes another network namespace (statefile_aside.go)
//	slot         the routes of one table, destination, TOS and metric; the kernel tries them in order
//	transaction  one take or one giving back (transaction.go)
//
// # Theory of operation
//
//  1. Discover reads the identity over rtnetlink. It refuses an interface with an attribute that it does not know, because it could
//     not restore that attribute.
//  2. Take waits until the IPv6 address is not tentative any more, and writes the record to the state file: a temporary file, fsync,
//     rename, fsync of the directory. From here on, the existence of the state file means that the kernel may have lost the addresses.
//  3. Take silences the kernel with nftables tables "podswitch-INDEX". Where the kernel lacks the netdev family, Take adds the old values of
//     two sysctls to the record and changes them (silence_sysctl.go).
//  4. Take joins the solicited-node group of the IPv6 address, and removes the addresses, the last one first. The kernel then drops the
//     routes and neighbours of IPv4 that depend on them (fib_disable_ip in net/ipv4/fib_frontend.c), and less of IPv6 (ipv6.go).
//  5. While the addresses are taken, the caller may watch the interface ([Watch], [Changes]) and apply to the record what other programs change
//     ([Taken.Follow], follow.go).
//  6. GiveBack restores the interface in the order below, ends the silence and removes the state file.
//
// If Take fails, it performs step 6 for what it has done. If the process dies, RestoreLocked or Restore performs step 6 from the state file, or
// Adopt continues with step 5: it repeats step 3, and finds the addresses removed.
//
// # What is restored, in which order
//
//	changes          those that were not followed yet; then the MTU of routes above a lowered MTU of the link
//	link up          the kernel accepts a route only through a link that is up
//	addresses        before those of other programs (giveback_addresses.go); routes need them: as source, and to reach their gateways.
//	                 The IPv6 address comes back without duplicate address detection (ipv6.go)
//	extra routes     removed: the kernel adds a prefix route for each address, which the plugin may have deleted (ptp does)
//	routes           of IPv4 slot by slot, in the recorded order (giveback_routes.go); of IPv6 those that the kernel has removed or
//	                 changed with the address (ipv6.go)
//	neighbours       of IPv4, after the addresses: the kernel drops them with the last address, and keeps those of IPv6
//	sysctls          their recorded values
//	end of silence   the kernel answers again only when it has everything that a right answer needs
//	state file       removed last, when the kernel is the holder again
//
// Objects that the kernel itself would have lost in that time are lost, with a warning: an expired address, a route from it, a route through an interface
// that is down or gone. It does not keep the rest from being restored, and the state file is removed.
//
// Each step reads the kernel's state and changes only what differs from the record. This makes giving back idempotent: it completes
// after a stop at any point of either direction, and a second run changes nothing.
//
// # What exists while the addresses are taken
//
//	state file       survives the process and a crash of the machine; giving back removes it, and RestoreLocked after a reboot
//	nftables tables  owned by a netlink socket of this process (NFT_TABLE_F_OWNER, Linux 5.12): the kernel removes them with it
//	sysctls          survive the process, are in the record, and belong to the interface: they go with it
//	lock             an flock(2) on a file in the state directory: the kernel releases it when the process ends
package podnet
