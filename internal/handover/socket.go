package handover

// Socket is the state of a port of a unix socket (package unixport): the bytes and the peer that the port had when it was interrupted.
// The zero value is the state of a port that has just been made.
type Socket struct {
	Received  []byte `json:"received,omitempty"`  // of a stream: bytes that were read and not delivered; whole frames, and the beginning of one
	Unsent    []byte `json:"unsent,omitempty"`    // of a stream: the end of a frame and its length field, of which the peer has the beginning
	Begun     int    `json:"begun,omitempty"`     // length in bytes of that frame; 0 if Unsent is empty
	Peer      []byte `json:"peer,omitempty"`      // of a datagram socket: the sender of the last frame, as in sun_path (unix(7)); empty: none yet
	Announced bool   `json:"announced,omitempty"` // of a listening stream: Options.Connected was called for the connection

	// Descriptors of a listening stream's connections, which travel by SCM_RIGHTS (unix(7)); 0 is none, because the Go runtime keeps the
	// first three descriptors open.
	Connection int `json:"-"` // of the peer
	Next       int `json:"-"` // of a peer that has connected after the first one had hung up, and waits until its frames are received
}
