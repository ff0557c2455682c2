package dataplane

import (
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// The log lines that a guest can cause: a burst for a few DHCP exchanges, and one line in two seconds on average.
const (
	guestLinesPerSecond = 0.5
	guestBurst          = 40
)

// A guestLog writes events that a guest causes, and limits their rate so that the guest cannot fill a disk. It counts the lines that
// it omits.
type guestLog struct {
	log     *zap.Logger
	limiter *rate.Limiter
	omitted atomic.Uint64
}

func newGuestLog(log *zap.Logger) *guestLog {
	return &guestLog{log: log, limiter: rate.NewLimiter(guestLinesPerSecond, guestBurst)}
}

func (g *guestLog) event(message string, fields ...zap.Field) {
	if !g.limiter.Allow() {
		g.omitted.Add(1)
		return
	}
	if n := g.omitted.Swap(0); n > 0 {
		fields = append(fields, zap.Uint64("lines_omitted_before", n))
	}
	g.log.Info(message, fields...)
}
