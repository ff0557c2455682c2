package keeper

import (
	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/unixsocket"
)

// name names the switch in messages.
func (s *session) name() string { return unixsocket.Describe(s.pid, s.uid) }

// field returns the field of a log message that names the switch.
func (s *session) field(key string) zap.Field { return processField(key, s.pid, s.uid) }

// processField returns a number if this process can see the process, and a description otherwise.
func processField(key string, pid, uid int) zap.Field {
	if pid == 0 {
		return zap.String(key, unixsocket.Describe(pid, uid))
	}
	return zap.Int(key, pid)
}
