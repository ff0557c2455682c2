package unixport

import (
	"os"
	"testing"

	"github.com/podswitch/podswitch/host/unixsocket/sockettest"
)

// TestMain runs the tests with a temporary directory in which sockets can be bound.
func TestMain(m *testing.M) {
	sockettest.ShortenTempDir()
	os.Exit(m.Run())
}
