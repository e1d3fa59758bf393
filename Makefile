# The front doors again, for the habit. Everything is in script/.
doors := build test demo bench lint check fuzz repro bootstrap
.PHONY: all clean $(doors)

all: build
$(doors):
	@script/$@
clean:
	rm -rf build build-*
