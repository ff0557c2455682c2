package keeper

import (
	"strings"
	"testing"

	"go.uber.org/zap/zapcore"

	"github.com/podswitch/podswitch/pod/grant"
)

// TestPeerNames: messages about a switch in another container name it as such, and not as process 0.
func TestPeerNames(t *testing.T) {
	for _, c := range []struct {
		pid  int
		want string
	}{{4711, "process 4711"}, {0, "a process in another container (user 107)"}} {
		l := newLoop(configOf(t.TempDir()))
		l.current = &session{pid: c.pid, uid: 107}
		err := l.admit(&session{}, &grant.Hello{Version: grant.Version})
		if err == nil || !strings.Contains(err.Error(), "this one serves "+c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
		l.next = l.current
		err = l.admit(&session{}, &grant.Hello{Version: grant.Version, Takeover: true})
		if err == nil || !strings.Contains(err.Error(), c.want+" is taking over") {
			t.Errorf("%v, want %s", err, c.want)
		}
		field := l.current.field("process")
		if isNumber := field.Type == zapcore.Int64Type; isNumber != (c.pid != 0) || !isNumber && field.String != c.want {
			t.Errorf("the field of the log is %+v, want the number or %s", field, c.want)
		}
	}
}
