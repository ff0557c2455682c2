// Package sockettest supports tests that create unix sockets.
package sockettest

import "os"

// maxPath is unixsocket.MaxPath, whose own tests use this package.
const maxPath = 107

// room is the number of bytes that a test adds to the temporary directory: the directory of testing.T.TempDir, which has the names of the
// test and the subtest, and the name of the socket.
const room = 90

// ShortenTempDir sets TMPDIR to /tmp if the present temporary directory is too long for the path of a socket (unix(7)). TestMain calls it,
// so that testing.T.TempDir returns directories in which a socket can be bound, whatever TMPDIR the tests are run with.
func ShortenTempDir() {
	if len(os.TempDir())+room <= maxPath {
		return
	}
	_ = os.Setenv("TMPDIR", "/tmp") // it fails for an invalid name only
}
