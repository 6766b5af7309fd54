package curve

// Config secures the tcp endpoints of a transport. The zero value of a part leaves out what needs it.
type Config struct {
	Own Pair
	// Server is whom a dialled endpoint must be.
	Server Key
	// Allowed says who may connect to a bound endpoint.
	Allowed *Allowed
	// Admit says whether a caller may send this message to a bound endpoint; nil: any.
	Admit    func(from Caller, body []byte) bool
	Refusals *Refusals
}

// Binds says whether bound endpoints are secured.
func (c *Config) Binds() bool { return c != nil && c.Allowed != nil }

// Dials says whether dialled endpoints are secured.
func (c *Config) Dials() bool { return c != nil && c.Server != Key{} }
