# services.p2prc: settings as TOML (RFC 42), the machine's place in a fleet, and processes that are to run on it.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    concatMap
    escapeShellArgs
    mkEnableOption
    mkIf
    mkMerge
    mkOption
    optionals
    types
    ;
  cfg = config.services.p2prc;
  toml = pkgs.formats.toml { };
  p2prc = "${cfg.package}/bin/p2prc";

  # A unit that says something to p2prcd after each boot: a verb that changes nothing when it is said again.
  says =
    description: extra:
    {
      inherit description;
      wantedBy = [ "multi-user.target" ];
      requires = [ "p2prcd.service" ];
      after = [ "p2prcd.service" ];
      startLimitIntervalSec = 0;
    }
    // extra
    // {
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        Restart = "on-failure";
        RestartSec = "30s";
      }
      // extra.serviceConfig or { };
    };

  named = optionals (cfg.fleet.name != null) [
    "--name"
    cfg.fleet.name
  ];
  makeFleet = escapeShellArgs (
    [
      p2prc
      "init"
      "--domain"
      cfg.fleet.domain
      "--acme"
      cfg.fleet.acme
    ]
    ++ named
    ++ concatMap (address: [
      "--public-ip"
      address
    ]) cfg.fleet.publicAddresses
  );
  joinFleet = escapeShellArgs (
    [
      p2prc
      "join"
      "-"
    ]
    ++ named
  );
in
{
  options.services.p2prc = {
    enable = mkEnableOption "p2prc, which runs processes on the machines of a household";

    package = mkOption {
      type = types.package;
      default = pkgs.p2prc;
      defaultText = lib.literalExpression "pkgs.p2prc";
      description = "The package of p2prc.";
    };

    settings = mkOption {
      type = types.submodule { freeformType = toml.type; };
      default = { };
      example = {
        remote.spin = "no";
      };
      description = "/etc/p2prc/p2prcd.toml; its keys are in p2prcd(8).";
    };

    edge = {
      openFirewall = mkOption {
        type = types.bool;
        default = cfg.fleet.domain != null;
        defaultText = lib.literalExpression "config.services.p2prc.fleet.domain != null";
        description = "Opens the ports of the edge: 443 and 80 for TCP, 53 for UDP and TCP.";
      };
      settings = mkOption {
        type = types.submodule { freeformType = toml.type; };
        default = { };
        description = "/etc/p2prc/edge.toml; its keys are in p2prc-edge(8).";
      };
    };

    fleet = {
      name = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "attic";
        description = "Name of this machine in its fleet; null is the host's.";
      };
      domain = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "home.example";
        description = "Makes this machine the root of a fleet with this zone.";
      };
      publicAddresses = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "203.0.113.10" ];
        description = "Addresses of the root; none are those of the machine that are reachable from everywhere.";
      };
      acme = mkOption {
        type = types.str;
        default = "none";
        example = "letsencrypt";
        description = "Where certificates come from: an ACME directory, letsencrypt (whose terms you accept by that), or none, the fleet's own authority.";
      };
      joinTokenFile = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "/run/secrets/p2prc-token";
        description = "Joins the fleet that made this token, until the machine is a member. The file stays out of the Nix store.";
      };
    };

    processes = mkOption {
      type = types.attrsOf (types.submodule { freeformType = toml.type; });
      default = { };
      example = lib.literalExpression ''
        {
          calendar = {
            port = 5232;
            domain = "calendar.home.example";
            run.command = [ (lib.getExe pkgs.radicale) "--server-hosts" "127.0.0.1:5232" ];
          };
        }
      '';
      description = ''
        Process files, by name: p2prc-process(5). One that has changed is updated, and
        goes back by itself where that is not ready (p2prc history NAME). One that is taken out here goes on.
      '';
    };
  };

  config = mkIf cfg.enable (mkMerge [
    {
      assertions = [
        {
          assertion = cfg.fleet.domain == null || cfg.fleet.joinTokenFile == null;
          message = "services.p2prc.fleet: a machine is the root (domain) or joins (joinTokenFile), not both";
        }
      ];

      environment.systemPackages = [ cfg.package ]; # also polkit's actions and the completions
      services.dbus.packages = [ cfg.package ];
      security.polkit.enable = lib.mkDefault true;

      users.users.p2prc-edge = {
        isSystemUser = true;
        group = "p2prc-edge";
        home = "/var/lib/p2prc-edge";
      };
      users.users.p2prc-connector = {
        isSystemUser = true;
        group = "p2prc-connector";
        home = "/var/lib/p2prc-connector";
      };
      users.users.p2prc-deploy = {
        isSystemUser = true;
        group = "p2prc-deploy";
        home = "/var/lib/p2prc-deploy";
      };
      users.groups.p2prc-deploy = { };
      users.groups.p2prc-edge = { };
      users.groups.p2prc-connector = { };

      environment.etc = {
        "p2prc/p2prcd.toml".source = toml.generate "p2prcd.toml" cfg.settings;
        "p2prc/edge.toml".source = toml.generate "edge.toml" cfg.edge.settings;
      };

      systemd.packages = [ cfg.package ];
      systemd.tmpfiles.packages = [ cfg.package ];
      # NixOS makes the links of wanted units itself. Edge and connector are wanted everywhere, and start where p2prcd has
      # turned that role on.
      systemd.sockets.p2prc-edge.wantedBy = [ "sockets.target" ];
      systemd.services = {
        p2prcd = {
          wantedBy = [ "multi-user.target" ];
          reloadTriggers = [ config.environment.etc."p2prc/p2prcd.toml".source ];
        };
        p2prc-connector.wantedBy = [ "multi-user.target" ];
        p2prc-edge = {
          wantedBy = [ "multi-user.target" ];
          restartTriggers = [ config.environment.etc."p2prc/edge.toml".source ];
        };
      };
    }

    {
      systemd.services = lib.mapAttrs' (
        name: process:
        lib.nameValuePair "p2prcd-declared-${name}" (
          says "Process ${name} of the system's configuration" {
            after = [
              "p2prcd.service"
              "p2prcd-fleet.service"
            ];
            script = "${p2prc} spin ${toml.generate "${name}.toml" (process // { inherit name; })} --no-wait";
          }
        )
      ) cfg.processes;
    }

    (mkIf (cfg.fleet.domain != null) {
      systemd.services.p2prcd-fleet = says "The fleet of this root" { script = makeFleet; };
    })

    (mkIf (cfg.fleet.joinTokenFile != null) {
      systemd.services.p2prcd-fleet = says "Joining a fleet" {
        # A token is good once, and for a while: a member does not join again.
        unitConfig.ConditionPathExists = "!/var/lib/p2prc/roles/connector";
        wants = [ "network-online.target" ];
        after = [
          "p2prcd.service"
          "network-online.target"
        ];
        serviceConfig.LoadCredential = "token:${cfg.fleet.joinTokenFile}";
        script = "${joinFleet} <\"$CREDENTIALS_DIRECTORY/token\"";
      };
    })

    (mkIf cfg.edge.openFirewall {
      networking.firewall = {
        allowedTCPPorts = [
          443
          80
          53
        ];
        allowedUDPPorts = [ 53 ];
      };
    })
  ]);
}
