package podnet

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Metrics are the numbers of a route's RTA_METRICS under the names of ip-route(8), in the kernel's units: "mtu" and "advmss" in bytes,
// "rtt" in eighths and "rttvar" in quarters of a millisecond. "lock" is the set of metrics that path MTU discovery must not change.
type Metrics map[string]uint32

// metricNames maps RTAX_* (linux/rtnetlink.h) to names. RTAX_CC_ALGO is a text, and is in Route.Congestion.
func metricNames() map[uint16]string {
	return map[uint16]string{
		unix.RTAX_LOCK: "lock", unix.RTAX_MTU: "mtu", unix.RTAX_WINDOW: "window", unix.RTAX_RTT: "rtt",
		unix.RTAX_RTTVAR: "rttvar", unix.RTAX_SSTHRESH: "ssthresh", unix.RTAX_CWND: "cwnd", unix.RTAX_ADVMSS: "advmss",
		unix.RTAX_REORDERING: "reordering", unix.RTAX_HOPLIMIT: "hoplimit", unix.RTAX_INITCWND: "initcwnd",
		unix.RTAX_FEATURES: "features", unix.RTAX_RTO_MIN: "rto_min", unix.RTAX_INITRWND: "initrwnd",
		unix.RTAX_QUICKACK: "quickack", unix.RTAX_FASTOPEN_NO_COOKIE: "fastopen_no_cookie",
	}
}

// withMTU returns the route with another MTU.
func (r Route) withMTU(mtu int) Route {
	r.Metrics = maps.Clone(r.Metrics)
	r.Metrics["mtu"] = uint32(mtu)
	return r
}

// decodeMetrics returns an error for a metric that encodeMetrics could not write.
func (r *Route) decodeMetrics(value []byte) error {
	names := metricNames()
	return visitAttributes(value, 0, func(kind uint16, value []byte) error {
		name, known := names[kind]
		switch {
		case kind == unix.RTAX_CC_ALGO:
			r.Congestion = nl.BytesToString(value)
		case !known:
			return notRestorable("restore the route "+r.Dst.String(), fmt.Sprintf("metric %d", kind))
		default:
			if r.Metrics == nil {
				r.Metrics = Metrics{}
			}
			r.Metrics[name] = u32(value)
		}
		return nil
	})
}

// encodeMetrics returns nil if the route has no metrics.
func (r Route) encodeMetrics() *nl.RtAttr {
	if len(r.Metrics) == 0 && r.Congestion == "" {
		return nil
	}
	all := nl.NewRtAttr(unix.RTA_METRICS, nil)
	names := metricNames()
	for _, kind := range slices.Sorted(maps.Keys(names)) {
		if value, ok := r.Metrics[names[kind]]; ok {
			all.AddRtAttr(int(kind), nl.Uint32Attr(value))
		}
	}
	if r.Congestion != "" {
		all.AddRtAttr(unix.RTAX_CC_ALGO, nl.ZeroTerminated(r.Congestion))
	}
	return all
}
