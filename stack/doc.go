// Package stack makes a gVisor network stack a port of the switch. It is the only importer of gvisor.dev.
//
// Two kinds of endpoint are made of it. The pod endpoint holds the pod address towards the wire: it answers ARP, ICMP echo
// and the kept ports. The server endpoint holds the DHCP server's address towards the guest: it carries DHCP and relays
// DNS. Neither resolves neighbours: every IP packet but a DHCP reply leaves to Config.PeerMAC, and the forwarder finds its next
// hop. Neither speaks first, but for Probe: who waits for a guest has it ask once a second whether somebody has the pod address.
// Neither opens a socket of the kernel: connections to kept ports' targets and to name servers are dialled by functions that are
// passed in.
//
// One endpoint, with the files that hold each part:
//
//	switch ──Transmit──▶ filter, copy ──────▶ netstack ──▶ link ──▶ queue ──Receive──▶ switch
//	        (transmit.go)                     │   ▲       (link.go)  (queue.go, receive.go)
//	                                          ▼   │
//	               TCP SYN to a served port ─▶ acceptor (accept.go) ─▶ kept port (keep.go), DNS (dnstcp.go) ─▶ leave.go
//	               UDP 67 ─▶ DHCP (dhcp.go)   UDP 53 ─▶ DNS (dnsudp.go)
//
// # Bounds
//
// What a hostile guest, a hostile peer, or all of them together can make one endpoint hold:
//
//	what                   how many at most                    goroutines each  bytes each
//	kept connection        maxConns 256 for each kept port     3                1st to 16th (roomyConns): 2 × 1 MiB (maxBuffer), and
//	                                                                            2 × 64 KiB (copySize); further ones: 2 × 64 KiB
//	                                                                            (crowdBuffer) and 2 × 8 KiB (crowdCopySize)
//	SYN under way          maxConns for each port              1                0.5 KiB; an unfinished handshake ends after 10 s
//	connection that closes counts as one, for up to 60 s (leaveTimeout)
//	TIME-WAIT              maxTimeWait 1024, for 10 s          0                6 KiB
//	DNS over UDP           dnsMaxQueries 64, for 5 s           1                3 × 64 KiB
//	DNS over TCP           dnsMaxConns 16                      1                2 × 64 KiB (crowdBuffer) and 3 × 64 KiB
//	UDP sockets            2 (DHCP, DNS)                       1                128 KiB waiting (datagramBuffer), 64 KiB of message
//	IP reassembly          4 MiB by netstack's own count, which evicts the oldest at that, and after 30 s; 24 MiB in fact, when
//	                       each fragment is as small as can be
//	sent, not received     queueLen 512 packets                0                64 KiB
//	neighbours             none: the link needs no resolution
//	ICMP errors            1000 a second, 50 at once (icmpRate, icmpBurst)
//	out of order, SACK     within the receive buffer; 100 blocks
//	log lines              each message once a minute
//
// Connections of the kernel: one for each kept connection and each DNS question, 256 for each kept port and 80. Goroutines of
// netstack itself: one for each processor. A full kept port was seen to hold 53 MiB of heap; TestConnectionsWithoutEnd holds it below
// 96 MiB, and TestClosedConnectionsKeepTheirPlaces, TestTimeWaitIsBounded and TestFragmentsWithoutEnd hold what else a peer
// can pile up. What 256 half-open connections take away is the port's service for 10 s, and nothing else's.
//
// A panic in netstack on the goroutine that transmits costs the frame; in any other goroutine of netstack or of a service, it ends
// the process.
package stack
