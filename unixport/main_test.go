package unixport

import (
	"os"
	"testing"

	"github.com/podswitch/podswitch/host/unixsocket/sockettest"
)

func TestMain(m *testing.M) {
	sockettest.ShortenTempDir()
	os.Exit(m.Run())
}
