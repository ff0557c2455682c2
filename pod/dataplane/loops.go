package dataplane

import (
	"time"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/vswitch"
)

// A loopLog warns of loops outside a learning switch: of stations that flap between ports, and of ports that the loop guard blocks.
type loopLog struct {
	log     *zap.Logger
	flaps   seenValues[vswitch.MAC]
	blocked seenValues[[2]int]
}

// check logs what is new, each station and each pair of ports once in offenderPeriod. It is called once a second.
func (l *loopLog) check(bridge *vswitch.Bridge, ports []namedPort, now time.Duration) {
	if f, ok := bridge.TakeFlap(); ok {
		l.flaps.warn(l.log, f.MAC, now, "a station flaps between two ports: a loop outside the switch, or two hosts with one MAC",
			zap.Stringer("mac", f.MAC), zap.String("from", ports[f.From].name), zap.String("to", ports[f.To].name))
	}
	for port := range ports {
		if by, ok := bridge.Blocked(port, now); ok {
			l.blocked.warn(l.log, [2]int{port, by}, now, "the loop guard blocks a port: a probe of the switch has arrived there",
				zap.String("port", ports[port].name), zap.String("probe_from", ports[by].name), zap.Stringer("reason", vswitch.Looped))
		}
	}
}
