package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// perSecond bounds the requests of all clients, on average and in a burst. A live display makes ten a second. Fifty responses a second
// take a hundredth of a processor, client and server together (BenchmarkStatus).
const perSecond = 50

// Serve serves s on l, which must be a unix socket's, until ctx is done, and then returns nil. It closes l. It refuses clients that run
// neither as root, nor as the user of this process, nor as s.Owner.
func Serve(ctx context.Context, l net.Listener, s Source) error {
	return serve(ctx, l, s, rate.NewLimiter(perSecond, perSecond))
}

func serve(ctx context.Context, l net.Listener, s Source, limit *rate.Limiter) error {
	log := s.Log
	if log == nil {
		log = zap.NewNop()
	}
	errorLog, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	server := &http.Server{
		Handler:                      limited(handler(s), limit),
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               1, // net/http adds 4 KiB
		ErrorLog:                     errorLog,
		Protocols:                    new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.SetKeepAlivesEnabled(false)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(newGuard(l, s.Owner, log)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// limited refuses requests beyond the limits and the protocol, and passes the others to next.
func limited(next http.Handler, limit *rate.Limiter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !limit.Allow():
			w.Header().Set("Retry-After", "1")
			http.Error(w, fmt.Sprintf("more than %d requests a second: retry later", perSecond), http.StatusTooManyRequests)
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "the control socket is read-only: want GET", http.StatusMethodNotAllowed)
		case r.ContentLength != 0:
			http.Error(w, "request with a body: want none", http.StatusRequestEntityTooLarge)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func handler(s Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StatusPath, func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Status()) })
	mux.HandleFunc("GET "+StationsPath, func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.Stations == nil && s.Status().Waiting:
			http.Error(w, "no forwarding database: the keeper waits for a switch", http.StatusNotFound)
			return
		case s.Stations == nil:
			http.Error(w, "no forwarding database: in IP mode the switch does not learn", http.StatusNotFound)
			return
		}
		reply(w, s.Stations())
	})
	return mux
}

// reply encodes v completely before it writes, so that an error can still have its status.
func reply(w http.ResponseWriter, v any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	_, _ = w.Write(body.Bytes()) // an error means that the client is gone
}
