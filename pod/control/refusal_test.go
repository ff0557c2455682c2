package control

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestRefusals checks the response to each kind of request that is not a short GET.
func TestRefusals(t *testing.T) {
	path := serving(t, busy())
	tests := []struct {
		request string
		want    int
	}{
		{"GET /status HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusOK},
		{"GET /status HTTP/1.0\r\n\r\n", http.StatusOK},
		{"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusNotFound},
		{"HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusMethodNotAllowed},
		{"DELETE /status HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusMethodNotAllowed},
		{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusMethodNotAllowed},
		{"CONNECT podswitch:80 HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusMethodNotAllowed},
		{"GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", http.StatusRequestEntityTooLarge},
		{"GET /status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", http.StatusRequestEntityTooLarge},
		{"GET /status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 4<<10) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.StatusMethodNotAllowed},
		{"GET /status HTTP/2.0\r\nHost: x\r\n\r\n", http.StatusHTTPVersionNotSupported},
		{"hello\r\n\r\n", http.StatusBadRequest},
	}
	for _, test := range tests {
		c := connect(t, path)
		_, _ = io.WriteString(c, test.request)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%.40q: %v", test.request, err)
			continue
		}
		if response.StatusCode != test.want || !response.Close {
			t.Errorf("%.40q: %s, close %v; want %d and the end", test.request, response.Status, response.Close, test.want)
		}
	}
}

// TestTooManyRequests checks that the rate is bounded, and that a later request succeeds.
func TestTooManyRequests(t *testing.T) {
	path := serving(t, busy())
	refused := 0
	for range 4 * perSecond {
		var got Status
		if err := Get(t.Context(), path, StatusPath, &got); err != nil {
			refused++
			if !strings.Contains(err.Error(), "retry later") {
				t.Fatal(err)
			}
		}
	}
	if refused == 0 {
		t.Errorf("%d requests, none was refused", 4*perSecond)
	}
	expectStatus(t, path)
}

// BenchmarkStatus measures one request with its connection, client and server together.
func BenchmarkStatus(b *testing.B) {
	path := serving(b, busy())
	b.ReportAllocs()
	for b.Loop() {
		var got Status
		_ = Get(b.Context(), path, StatusPath, &got)
	}
}
