package main

import "fmt"

// A figure is a quantity that is measured for every candidate.
type figure struct {
	Name  string `json:"name"`
	Unit  string `json:"unit"`
	Lower bool   `json:"lowerIsBetter"`
	Cost  string `json:"cost,omitempty"` // divisor of a candidate's CPU seconds
	Note  string `json:"note,omitempty"` // how to read the figure
}

const (
	perGigabyte = "GB"
	perMillion  = "million packets"
)

// The figures without parameters.
var (
	askTCP50    = figure{Name: "TCP request/response p50", Unit: "µs", Lower: true}
	askTCP99    = figure{Name: "TCP request/response p99", Unit: "µs", Lower: true}
	askUDP50    = figure{Name: "UDP request/response p50", Unit: "µs", Lower: true}
	askUDP99    = figure{Name: "UDP request/response p99", Unit: "µs", Lower: true}
	connections = figure{Name: "TCP connections, a request each", Unit: "1/s"}
	resident    = figure{Name: "resident memory", Unit: "MiB", Lower: true, Note: "VmRSS, summed over the candidate's processes: a page of several counts for each; the goal is judged by it"}
	shared      = figure{Name: "resident memory, shared pages divided", Unit: "MiB", Lower: true, Note: "Pss, summed: a page of several processes counts once"}
	idleCPU     = figure{Name: "CPU while idle", Unit: "%", Lower: true}
	readyTime   = figure{Name: "start to ready", Unit: "ms", Lower: true, Note: "by the message that the program writes; of pasta and slirp4netns, which write none, until the guest has tap0"}
	ackTime     = figure{Name: "start to DHCPACK", Unit: "ms", Lower: true, Note: "start to ready, and the first exchange of a client that does not pause"}
	leaseFirst  = figure{Name: "DISCOVER to ACK, the first", Unit: "ms", Lower: true, Note: "by a client that does not pause; the goal is judged by it"}
	leaseTime   = figure{Name: "DISCOVER to ACK", Unit: "ms", Lower: true, Note: fmt.Sprintf("by a client that does not pause; median of %d exchanges", leaseRounds)}
	leaseWorst  = figure{Name: "DISCOVER to ACK, the longest", Unit: "ms", Lower: true, Note: fmt.Sprintf("of the %d exchanges", leaseRounds)}
	pausedTime  = figure{Name: "DISCOVER to ACK by udhcpc", Unit: "ms", Lower: true, Note: "with udhcpc's own pause between OFFER and REQUEST"}
)

func tcpFigure(w way, flows, mtu int, control string) figure {
	f := figure{Name: fmt.Sprintf("TCP %s, %s, MTU %d%s", w.name, plural(flows), mtu, w.over()), Unit: "Gbit/s", Cost: perGigabyte}
	if control == bbr {
		f.Name += ", BBR"
		f.Note = "BBR paces a flow by how soon its answers come; the goals are judged with CUBIC"
	}
	return f
}

func floodFigure(w way, flows int) figure {
	note := "UDP datagrams, counted one by one at the receiver's socket; consecutive ones can be merged; the goal is judged by it"
	if flows > 1 {
		note = "the same, of several flows in turn: no two of a flow follow each other"
	}
	if w.ipv6 {
		note = "the same datagrams over IPv6, whose packets have 84 bytes on a wire"
	}
	return figure{Name: fmt.Sprintf("64-byte packets %s, %s%s", w.name, plural(flows), w.over()), Unit: "kpps", Cost: perMillion, Note: note}
}

func plural(flows int) string {
	if flows == 1 {
		return "1 flow"
	}
	return fmt.Sprintf("%d flows", flows)
}

// A reading is the result of one measurement of a figure. CPU is in seconds divided by the figure's Cost, or 0 if it has none. A figure of IPv6
// has the value over IPv4 beside its own.
type reading struct {
	figure figure
	value  float64
	cpu    float64
	ipv4   float64
}
