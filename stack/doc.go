// Package stack makes a gVisor network stack a port of a switch (package vswitch): an endpoint with one IPv4 address, one IPv6
// address or both, that serves DHCP and DHCPv6, relays DNS, and passes TCP connections and UDP datagrams on.
//
//	e, err := stack.New(stack.Config{Address: address, MAC: mac, MTU: 1500, ARP: true})
//	...
//	defer e.Close()
//	err = e.Keep(stack.KeptPort{Network: "tcp", Port: 80, Dial: dial}) // connections to address:80 continue at what dial returns
//	err = vswitch.New(forwarder, clock, guest, e).Run(ctx)
//
// An endpoint opens no sockets of the kernel: functions of the caller dial the targets of kept ports and the name servers. It sends no
// packet on its own, except for Probe. It resolves no neighbours: IP packets go to Config.PeerMAC, and DHCP replies to the MAC that the
// handler returns. The switch finds the next hop.
//
// podswitch uses two endpoints. One holds the pod addresses towards the wire, and answers ARP, ICMP echo and the kept ports. The other
// one holds the address of the DHCP server and the router's link-local address towards the guest. The forwarder answers and resolves
// neighbours of IPv6. This package is the only importer of gvisor.dev.
//
// # Parts
//
//	switch ──Transmit──▶ filter, copy, screen ▶ netstack ──▶ link ──▶ queue ──Receive──▶ switch
//	        (transmit.go, screen.go)          │   ▲       (link.go)  (queue.go, receive.go)
//	                                          ▼   │
//	               TCP SYN to a served port ─▶ acceptor (accept.go) ─▶ kept port (keep.go), DNS (dnstcp.go) ─▶ closing.go
//	               UDP 67 ─▶ DHCP (dhcp.go)   UDP 53 ─▶ DNS (dnsudp.go)   UDP to a kept port ─▶ flows (flows.go)
//	filter ─▶ DHCPv6 (dhcpv6.go), without netstack
//
// # Bounds
//
// These are the resources that hostile peers can make one endpoint hold:
//
//	resource               limit                               goroutines each  bytes each
//	kept connection        maxConns 256 for each kept port     3                1st to 16th (largeBufferConns): 2 × 1 MiB (maxBuffer),
//	                                                                            and 2 × 64 KiB (copySize); others: 2 × 64 KiB
//	                                                                            (reducedBuffer) and 2 × 8 KiB (reducedCopySize)
//	                                                           A client, which is a source address, has at most three times as many
//	                                                           as are free (fairShare). After the target has ended writing, a peer
//	                                                           may be idle for 60 s (maxPeerIdle); after the peer, a target for 15 min.
//	unfinished handshake   maxHandshakes 256 for each port,    1                0.5 KiB
//	                       64 of a client, for 10 s; then the
//	                       oldest one makes room
//	closing connection     counts as a kept one, for up to 60 s (closeTimeout)
//	flow of a kept UDP     maxFlows 256, until its client has sent    2         64 KiB, and maxFlowWaiting 4 + 1 datagrams
//	port                   nothing for 2 min (flowIdle); 192 of one
//	                       client (fairShare); then the least recent
//	                       one ends. maxFlowDials 32 are dialled at a
//	                       time, and a client that has not sent again
//	                       gets maxUnconfirmed 32 answers
//	TIME-WAIT              maxTimeWait 1024, for 10 s          0                6 KiB
//	DNS over UDP           dnsMaxQueries 160, for 5 s          1                3 × 64 KiB
//	DNS over TCP           dnsMaxConns 16                      1                2 × 64 KiB (reducedBuffer) and 3 × 64 KiB
//	DHCPv6                 dhcpv6Waiting 16 messages           1                64 KiB
//	UDP sockets            2 (DHCP, DNS), kept ports                  1                128 KiB queued (datagramBuffer), 64 KiB of message
//	IP reassembly          4 MiB by netstack's own count, then the oldest is evicted, and for 30 s; up to 24 MiB of memory if every
//	                       fragment has the smallest size
//	transmit queue         queueLen 512 packets                0                64 KiB
//	neighbours             none: the link needs no resolution
//	ICMP errors            1000 a second, 50 at once (icmpRate, icmpBurst)
//	out of order, SACK     within the receive buffer; 100 blocks
//	log lines              each message once a minute, if Config.Log limits them so
//
// The dial functions are called for at most 288 connections of each kept TCP port, 32 flows of each kept UDP port and 80 DNS questions at a time. Netstack has one goroutine
// for each processor. A full kept port was measured to hold 53 MiB of heap; TestConnectionsWithoutEnd holds it below 96 MiB, and
// TestClosedConnectionsKeepTheirSlots, TestTimeWaitIsBounded and TestFragmentsWithoutEnd check other bounds.
//
// Of ICMP errors, netstack sees only "fragmentation needed" and "packet too big" about data in flight, and no MTU below 552 or 1280
// (screen.go). It sees no IPv6 packet with extension headers, but for fragments.
//
// A panic of netstack in the goroutine that transmits drops the frame. A panic in any other goroutine of netstack or of a service ends
// the process.
package stack
