package dataplane

import (
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// How many lines a guest may cause: a few DHCP exchanges at once, and one line in two seconds for ever.
const (
	guestLines = 0.5 // a second
	guestBurst = 40
)

// A guestLog writes what a guest causes, and no more of it than is good for a disk. What it leaves out, it counts.
type guestLog struct {
	log     *zap.Logger
	limiter *rate.Limiter
	omitted atomic.Uint64
}

func newGuestLog(log *zap.Logger) *guestLog {
	return &guestLog{log: log, limiter: rate.NewLimiter(guestLines, guestBurst)}
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
