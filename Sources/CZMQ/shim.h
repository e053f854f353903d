// The C headers behind CZMQ.
#pragma once
#include <errno.h>
#include <zmq.h>
