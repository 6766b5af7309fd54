package server

import (
	"errors"
	"net"
)

// errProtected is Redis's own text (networking.c, clientAcceptHandler), "Redis" in it included:
// people search for it.
const errProtected = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. " +
	"In this mode connections are only accepted from the loopback interface. " +
	"If you want to connect from external computers to Redis you may adopt one of the following solutions: " +
	"1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, " +
	"however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. " +
	"2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. " +
	"3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. " +
	"4) Setup a an authentication password for the default user. " +
	"NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside."

// ErrProtected: the connection was refused because it comes from elsewhere and there is no password.
var ErrProtected = errors.New("server: protected mode")

// protectedFrom says whether conn is refused by protected mode. Who comes through ZeroMQ has passed
// the guard of that door: the mode of a socket file, or a key.
func (s *Server) protectedFrom(conn net.Conn) bool {
	if !s.settings.protectedMode.Load() || *s.settings.password.Load() != "" {
		return false
	}
	from, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && !from.IP.IsLoopback()
}

// denyProtected tells a connection so and closes it; it is counted where Redis counts it.
func (s *Server) denyProtected(conn net.Conn) {
	s.stats.rejectedConnections.Add(1)
	sayAndClose(conn, errProtected)
}
